package main

// stateMutants break the guarantee about the state of conversations.
var stateMutants = []mutant{
	{
		name:      "cursor_goes_down",
		guarantee: "9",
		effect:    "A receipt of a device that is behind lowers the cursor of its user.",

		file: "internal/postgres/cursors.go",
		edits: []edit{{
			old: `
	SET delivered_seq = greatest(c.delivered_seq, excluded.delivered_seq),
		read_seq = greatest(c.read_seq, excluded.read_seq),
`,
			new: `
	SET delivered_seq = excluded.delivered_seq,
		read_seq = excluded.read_seq,
`,
		}},

		tests: []test{
			{"internal/postgres", "TestCursorsOnlyGrow"},
			{"internal/receipt", "TestCursorsAndUnreadAreThoseOfAModel"},
		},
	},
	{
		name:      "unread_counts_own",
		guarantee: "9",
		effect:    "A user's own messages count as unread.",

		file: "internal/postgres/cursors.go",
		edits: []edit{{
			old: "u.seq > v.read_seq AND u.sender_id <> v.user_id AND",
			new: "u.seq > v.read_seq AND",
		}},

		tests: []test{
			{"internal/receipt", "TestCursorsAndUnreadAreThoseOfAModel"},
		},
	},
	{
		name:      "cursor_sweep_off",
		guarantee: "9",
		effect:    "A replica does not look for receipts that Redis has lost.",

		file: "internal/chat/sweep.go",
		edits: []edit{{
			old: "if !c.repairMessages(ctx, window) || !c.repairCursors(ctx, window) {",
			new: "if !c.repairMessages(ctx, window) {",
		}},

		tests: []test{
			{"internal/chat", "TestALostReceiptIsFoundByASweep"},
		},
	},
	{
		name:      "presence_poll_off",
		guarantee: "9",
		effect:    "A replica does not read from Redis who is online. It relies on events alone.",

		file: "internal/presence/run.go",
		edits: []edit{{
			old: "newRound := len(r.round) == 0 && !now.Before(r.roundAt)",
			new: "newRound := len(r.round) == 0 && now.Before(time.Time{})",
		}},

		tests: []test{
			{"internal/presence", "TestEachRoundReadsAllWatchedUsers"},
		},
	},
	{
		name:      "typing_to_oneself",
		guarantee: "9",
		effect:    "A user is told that she types herself.",

		file: "internal/chat/typing.go",
		edits: []edit{{
			old: "if t.User != s.peer || t.Active && s.quiet() {",
			new: "if s.peer == 0 || t.Active && s.quiet() {",
		}},

		tests: []test{
			{"internal/chat", "TestTypingGoesToTheOtherSideOnly"},
		},
	},
}
