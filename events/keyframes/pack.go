package keyframes

import (
	"bytes"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// packWindow is how far back repetitions are found: the objects of one kind
// repeat nearly all of the one before. More would cost memory with every
// keyframe that is made.
const packWindow = 1 << 20

// maxUnpacked bounds what a keyframe may say that it unpacks to.
const maxUnpacked = 1 << 33

// pack compresses some bytes, one after the other.
func pack(parts ...[]byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(2), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(packWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return out.Bytes(), err
}

// unpack is the opposite of pack. Room is made for no more than came of it.
func unpack(data []byte, state, parties int) ([]byte, error) {
	size := int64(state) + int64(parties)
	if state < 0 || parties < 0 || size > maxUnpacked {
		return nil, fmt.Errorf("it says that it is %d bytes", size)
	}
	r, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxWindow(8*packWindow))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	out := bytes.NewBuffer(make([]byte, 0, min(size+bytes.MinRead, 64*int64(len(data)))))
	n, err := out.ReadFrom(io.LimitReader(r, size+1))
	if err == nil && n != size {
		err = fmt.Errorf("it is %d bytes and says %d", n, size)
	}
	return out.Bytes(), err
}
