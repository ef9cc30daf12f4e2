package apiserver

import "rollcall/events"

// noticeBoard gathers core Events as a view of the log.
type noticeBoard struct{}

func newNoticeBoard() *noticeBoard { return &noticeBoard{} }

func (n *noticeBoard) observe(events.Event) {}
