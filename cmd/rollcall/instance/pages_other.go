//go:build !linux

package instance

// releasePages does nothing where the system does not count the pages of a
// program's file as the process's memory, or does not say what is mapped.
func releasePages() {}
