package recording

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"
)

// buffers are the memory of one entry after another: what was unpacked is good
// until the next is.
type buffers struct {
	packed, data []byte
	inflate      io.ReadCloser
}

// decoder unpacks zstd for all recordings of the process, no further than there
// is room for.
var decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderMaxWindow(1<<27),
		zstd.IgnoreChecksum(true)) // sumOf has been over the bytes
})

// unpack reads an entry and holds it against what is known of it: the header before
// it, its sum, and its size unpacked. Its CRC-32 is for who reads the file with
// another program, and Verify's to hold against it.
func (r *Recording) unpack(e *entry, buf *buffers) ([]byte, error) {
	n := e.end() - e.offset
	buf.packed = slices.Grow(buf.packed[:0], int(n))[:n]
	if _, err := r.file.ReadAt(buf.packed, e.offset); err != nil {
		return nil, r.damaged(e.name, e.offset, "it cannot be read: "+err.Error())
	}
	head := e.header()
	size := len(head) + sumSize
	if !bytes.Equal(buf.packed[:len(head)], head) || !bytes.Equal(buf.packed[len(head):size], e.sum[:]) {
		return nil, r.damaged(e.name, e.offset, "its header is not what the directory says")
	}
	stored := buf.packed[size:]
	if sumOf(head, stored) != e.sum {
		return nil, r.damaged(e.name, e.offset, "its checksum is another")
	}
	if e.compression == Stored {
		if e.stored != e.size {
			return nil, r.damaged(e.name, e.offset, "it is not packed, and has two sizes")
		}
		return stored, nil
	}
	// The buffer keeps all of its room for a larger block; this one has its size.
	buf.data = slices.Grow(buf.data[:0], int(e.size))
	data := buf.data[:0:e.size]
	var err error
	if e.compression == Zstd {
		var d *zstd.Decoder
		if d, err = decoder(); err == nil {
			data, err = d.DecodeAll(stored, data)
		}
	} else {
		data = data[:e.size]
		err = buf.deflate(stored, data)
	}
	if err != nil {
		return nil, r.damaged(e.name, e.offset, "it cannot be unpacked: "+err.Error())
	}
	if len(data) != int(e.size) {
		return nil, r.damaged(e.name, e.offset, fmt.Sprintf("it unpacks to %d bytes, and says %d", len(data), e.size))
	}
	return data, nil
}

// deflate unpacks a deflated entry into data, which it has to fill.
func (b *buffers) deflate(packed, data []byte) error {
	in := bytes.NewReader(packed)
	if b.inflate == nil {
		b.inflate = flate.NewReader(in)
	} else if err := b.inflate.(flate.Resetter).Reset(in, nil); err != nil {
		return err
	}
	if _, err := io.ReadFull(b.inflate, data); err != nil {
		return err
	}
	if n, err := b.inflate.Read(make([]byte, 1)); n > 0 || err != io.EOF {
		return fmt.Errorf("it does not end after %d bytes", len(data))
	}
	if in.Len() > 0 {
		return fmt.Errorf("%d bytes follow it", in.Len())
	}
	return nil
}
