package main

import "slices"

// security stands for the threat model in place of a guarantee.
const security = "[threat model](../SECURITY.md#threat-model)"

// The mutants, in the order of the guarantees in docs/guarantees.md. The table
// there is generated from these rows.
var mutants = slices.Concat(messageMutants, clientMutants, stateMutants)

// messageMutants break the guarantees about messages and events.
var messageMutants = []mutant{
	{
		name:      "ack_before_commit",
		guarantee: "1",
		effect:    "The `ack` is sent before the commit.",

		file: "internal/chat/save.go",
		edits: []edit{{
			old: `
	m, duplicate, err := s.append(ctx, conversation, draft)
`,
			new: `
	s.Mu.Lock()
	early := room.Message{
		ID: room.ID{1}, Conversation: conversation, Seq: s.cursor.latest + 1, Sender: s.user, SenderRole: s.role,
		Text: draft.Text, ClientMessageID: draft.ClientMessageID, At: time.Now(),
	}
	s.Mu.Unlock()
	if err := s.Answer(frame.AppendAck(nil, &early, false, false)); err != nil {
		return stored{}, err
	}
	m, duplicate, err := s.append(ctx, conversation, draft)
`,
		}},

		tests: []test{
			{"internal/chat", "TestNothingIsAcknowledgedThatIsNotCommitted"},
			{"internal/app", "TestWithoutPostgresNothingIsAcknowledgedAndLocationGoesOn"},
		},
	},
	{
		name:      "gap_filling_off",
		guarantee: "2",
		effect:    "Missing messages are not read from Postgres.",

		file: "internal/chat/fetch.go",
		edits: []edit{{
			old: `
func (s *Consumer) fetch(ctx context.Context) (kept int) {
`,
			new: `
func (s *Consumer) fetch(ctx context.Context) (kept int) {
	if true {
		s.retry() // else it would be called again at once
		return 0
	}
`,
		}},

		tests: []test{
			{"internal/chat", "TestHoleThatStaysIsFilledFromTheStore"},
			{"internal/chat", "TestResume"},
		},
	},
	{
		name:      "periodic_query_off",
		guarantee: "2",
		effect:    "A replica does not look for undelivered messages every 10 s.",

		file: "internal/chat/sweep.go",
		edits: []edit{{
			old: `
	case <-timer.C:
`,
			new: `
	case <-(<-chan time.Time)(nil):
`,
		}},

		tests: []test{
			{"internal/chat", "TestALookComesByItselfEveryTenSeconds"},
			{"internal/tool/soak", "TestAMessageIsSeenWhoseReplicaDiedBetweenCommitAndPublish"},
		},
	},
	{
		name:      "classic_frames_lost",
		guarantee: "2",
		effect:    "Apps of the predecessor do not get every sixteenth message of the other side.",

		file: "internal/dialect/chat.go",
		edits: []edit{{
			old: `
		if m.Seq != 0 {
`,
			new: `
		if m.Seq%16 != 0 || m.Seq != 0 && m.Sender == c.user {
`,
		}},

		tests: []test{
			{"internal/tool/adopt", "TestAppsOfThePredecessorGoOnAfterTheAdoption"},
			{"internal/tool/soak", "TestAppsOfThePredecessorMissNothingWhileAReplicaIsRestarted"},
		},
	},
	{
		name:      "publish_retry_off",
		guarantee: "2",
		effect:    "A failed publish does not make the replica look for undelivered messages.",

		file: "internal/chat/publish.go",
		edits: []edit{{
			old: `
			chat.requestSweep()
`,
			new: "\n",
		}},

		tests: []test{
			{"internal/chat", "TestStoredMessageThatRedisDoesNotTakeIsLookedFor"},
		},
	},
	{
		name:      "duplicate_publish_off",
		guarantee: "2",
		effect:    "A message that is sent again is not published again.",

		file: "internal/chat/save.go",
		edits: []edit{{
			old: `
	s.publish(m, saved.logged)
	return full
`,
			new: `
	if !saved.duplicate {
		s.publish(m, saved.logged)
	}
	return full
`,
		}},

		tests: []test{
			{"internal/chat", "TestSendIsStoredAcknowledgedAndPublished"},
		},
	},
	{
		name:      "resubscription_without_missed",
		guarantee: "2",
		effect:    "After a lost subscription is renewed, nobody looks for the messages published meanwhile.",

		file: "internal/channel/missed.go",
		edits: []edit{{
			old: `
			m.missed(reset)
`,
			new: `
			_ = m.missed
`,
		}},

		tests: []test{
			{"internal/channel", "TestConformance"},
			{"internal/channel", "TestNetworkFaults"},
		},
	},
	{
		name:      "cursor_accepts_any_order",
		guarantee: "2",
		effect:    "A socket gets messages as they arrive from Redis: in any order, and more than once.",

		file: "internal/chat/cursor.go",
		edits: []edit{
			{
				old: `
	if d.Seq <= c.seen {
		return false
	}
`,
				new: `
	if d.Seq > 0 {
		c.latest = max(c.latest, d.Seq)
		c.inbox = append(c.inbox, d)
		c.bytes += len(d.Frame)
		return true
	}
`,
			},
			{
				old: `
	if len(c.inbox) == 0 || c.inbox[0].Seq != c.seen+1 {
		return d, false
	}
	d = c.inbox[0]
	c.seen = d.Seq
`,
				new: `
	if len(c.inbox) == 0 {
		return d, false
	}
	d = c.inbox[0]
	c.seen = max(c.seen, d.Seq)
`,
			},
		},

		tests: []test{
			{"internal/chat", "TestLiveMessagesComeInOrderAndOnce"},
			{"internal/chat", "TestCursorHandsOutConsecutiveMessagesWhateverComesIn"},
			{"internal/app", "TestWhatIsAcknowledgedIsStoredAndReachesEverySocketOnceInOrder"},
		},
	},
	{
		name:      "reset_off",
		guarantee: "2",
		effect:    "An open socket goes on as before when the database is restored under it.",

		file: "internal/chat/deliver.go",
		edits: []edit{{
			old: `
	if reset {
		s.reset()
		return
	}
`,
			new: "\n",
		}},

		tests: []test{
			{"internal/chat", "TestAnOpenSocketStartsAnewOnARestoredDatabase"},
		},
	},
	{
		name:      "resume_id_off",
		guarantee: "2",
		effect:    "A client resumes after another message than the one that it has.",

		file: "internal/chat/since.go",
		edits: []edit{{
			old: `
		known = len(stored) > 0 && stored[0].Seq == p.seq && stored[0].ID == p.id
`,
			new: `
		known = len(stored) > 0 && stored[0].Seq == p.seq
`,
		}},

		tests: []test{
			{"internal/chat", "TestResumeByID"},
		},
	},
	{
		name:      "idempotency_off",
		guarantee: "3",
		effect:    "A message that is sent again is stored again.",

		file: "internal/postgres/commit.go",
		edits: []edit{{
			old: `
	r, pending, err := db.commits.call(ctx, appendArg{conversation, d})
`,
			new: `
	id := d.ClientMessageID
	d.ClientMessageID = ""
	r, pending, err := db.commits.call(ctx, appendArg{conversation, d})
	r.message.ClientMessageID = id
`,
		}},

		tests: []test{
			{"internal/postgres", "TestTheSameIDIsOneMessage"},
			{"internal/app", "TestSendingAgainIsNeverASecondMessage"},
		},
	},
	{
		name:      "local_side_door",
		guarantee: "5",
		effect:    "Messages go directly to the sockets of the same replica, not through Redis.",

		file: "internal/chat/publish.go",
		edits: []edit{{
			old: `
	chat, seq := s.chat, slog.Int64("seq", m.Seq)
`,
			new: `
	chat, seq := s.chat, slog.Int64("seq", m.Seq)
	if m != nil {
		chat.mu.Lock()
		local := append([]*Consumer(nil), chat.sockets[m.Conversation]...)
		chat.mu.Unlock()
		for _, other := range local {
			other.deliverMessage(newEvent(m), m.At)
		}
		return
	}
`,
		}},

		tests: []test{
			{"internal/app", "TestTwoSocketsOfOneReplicaHearNothingFromEachOtherWithoutRedis"},
		},
	},
	{
		name:      "tag_unchecked",
		guarantee: "8",
		effect:    "An event counts although it was forged, changed, or copied from another name, deployment or timeline.",

		file: "internal/event/seal.go",
		edits: []edit{{
			old: `
	body, err := aead.Open(sealed[headerSize:headerSize], s.nonce[:], sealed[headerSize:], s.data)
`,
			new: `
	text := sealed[headerSize : len(sealed)-tagSize]
	body, err := aead.Seal(nil, s.nonce[:], text, nil)[:len(text)], error(nil) // decrypts
`,
		}},

		tests: []test{
			{"internal/event", "TestEventsAreWorthNothingElsewhere"},
		},
	},
	{
		name:      "stale_events",
		guarantee: "8",
		effect:    "An event that means something only when it is new counts however old it is.",

		file: "internal/event/event.go",
		edits: []edit{{
			old: "now.Sub(e.At).Abs() > limit",
			new: "e.At.Sub(now) > limit",
		}},

		tests: []test{
			{"internal/event", "TestOldEventsAreStale"},
		},
	},
	{
		name:      "timeline_stays",
		guarantee: "8",
		effect:    "The timeline stays the same when the database has gone back in time.",

		file: "internal/postgres/deployment.go",
		edits: []edit{{
			old: `
		if k.wentBack != "" {
`,
			new: `
		if k.wentBack == "never" {
`,
		}},

		tests: []test{
			{"internal/postgres", "TestARestoredBackupRaisesTheTimelineOnce"},
		},
	},
	{
		name:      "message_deadline_off",
		guarantee: security,
		effect:    "A client may leave a message unfinished for an hour.",

		file: "internal/session/reader.go",
		edits: []edit{{
			old: "messageTimeout = 10 * time.Second",
			new: "messageTimeout = time.Hour",
		}},

		tests: []test{
			{"internal/session", "TestAMessageMustBeCompleteInTime"},
		},
	},
	{
		name:      "address_share_off",
		guarantee: security,
		effect:    "One address may take all places of a replica.",

		file: "internal/listen/limits.go",
		edits: []edit{{
			old: "if p.share < 1 && float64",
			new: "if p.share < 0 && float64",
		}},

		tests: []test{
			{"internal/listen", "TestAnAddressOverItsShareLosesItsOldestIdleConnection"},
			{"internal/listen", "TestAnAddressHasAShareOfThePlainConnections"},
			{"internal/listen", "TestSocketsOfAClientAreCountedUntilTheyEnd"},
		},
	},
	{
		name:      "recheck_off",
		guarantee: security,
		effect:    "A socket stays open when its user gets another role, or the other side of the room is gone.",

		file: "internal/handshake/renew.go",
		edits: []edit{
			{
				old: "Authorize; authorize != nil {",
				new: "Authorize; authorize != nil && g.User == 0 {",
			},
			{
				old: "if string(u.Role) != g.Role {",
				new: "if g.User == 0 {",
			},
		},

		tests: []test{
			{"internal/handshake", "TestWhatAnOpenSocketIsCheckedFor"},
		},
	},
}
