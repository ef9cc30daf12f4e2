package simkubelet

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"maps"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
)

// sorted yields m by key.
func sorted(m map[string]string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// draw returns a number that is always the same for the same words.
func draw(words string) uint64 {
	sum := sha256.Sum256([]byte(words))
	return binary.BigEndian.Uint64(sum[:8])
}

// fraction returns a number from 0 to below 1, always the same for the same words.
func fraction(words string) float64 { return float64(draw(words)>>11) / (1 << 53) }

// hexDigest returns the SHA-256 of words, as images and containers have one.
func hexDigest(words string) string {
	sum := sha256.Sum256([]byte(words))
	return hex.EncodeToString(sum[:])
}

// addresses are the pods that have an address in 10.0.0.0/8, by address.
type addresses map[string]types.UID

// podAddresses is how many a cluster has: the network and the broadcast
// address of every /24 are left out.
const podAddresses = 254 << 16

// lease returns a free address for a pod: the same for every pod that finds
// its first choice free.
func (a addresses) lease(uid types.UID) string {
	first := draw("ip/" + string(uid))
	for i := range uint64(podAddresses) {
		n := (first + i) % podAddresses
		ip := "10." + strconv.FormatUint(n/254>>8, 10) + "." + strconv.FormatUint(n/254&255, 10) + "." +
			strconv.FormatUint(n%254+1, 10)
		if owner, taken := a[ip]; !taken || owner == uid {
			a[ip] = uid
			return ip
		}
	}
	return ""
}

// keep notes the address that a pod has in the log.
func (a addresses) keep(ip string, uid types.UID) { a[ip] = uid }

// free gives the address of a pod back.
func (a addresses) free(ip string, uid types.UID) {
	if a[ip] == uid {
		delete(a, ip)
	}
}
