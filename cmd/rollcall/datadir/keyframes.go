package datadir

import (
	"context"
	"fmt"
	"os"

	"rollcall/events/blocks"
	"rollcall/events/keyframes"
)

// rescued is a keyframe that is whole, of a store that is damaged.
type rescued struct {
	object keyframes.Object
	data   []byte
}

// saveKeyframes takes away the store of the keyframes if it is damaged: the server
// might not start, and the log is whole without it. Those that are whole are put
// into a new one. A log that begins with one that is not is refused.
func (k *Keeper) saveKeyframes(ctx context.Context, dir string) error {
	at, damage := blocks.CheckKeyframes(dir, k.Subjects)
	if damage == nil {
		return nil
	}
	objects, err := blocks.OpenObjects(ctx, dir, k.Subjects, keyframes.Bucket)
	if err != nil {
		return err
	}
	store := keyframes.Open(objects)
	frames, _ := store.List(ctx) // the damage is known
	lost := 0
	for _, f := range frames {
		if _, err = store.Get(ctx, f); err != nil && f.Pinned {
			return damage
		}
		if err != nil {
			lost++
		}
	}
	all, _ := objects.List(ctx)
	for _, o := range all {
		if data, err := objects.Get(ctx, o.Name); err == nil {
			k.rescued = append(k.rescued, rescued{o, data})
		}
	}
	k.warn("the store of the keyframes is damaged and is made anew: %d of them are lost, %d are not; the log is whole: %v", lost, len(k.rescued), damage)
	return os.RemoveAll(at)
}

// Rescue puts keyframes back that are whole, of a store that was damaged.
func (k *Keeper) Rescue(ctx context.Context, into keyframes.Writer) error {
	for _, r := range k.rescued {
		if err := into.Put(ctx, r.object, r.data); err != nil {
			return fmt.Errorf("put keyframe %s back: %w", r.object.Name, err)
		}
	}
	k.rescued = nil
	return nil
}
