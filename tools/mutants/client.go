package main

// clientMutants break the JavaScript client.
var clientMutants = []mutant{
	{
		name:      "js_gap_shown",
		guarantee: "2",
		effect:    "The JavaScript client shows a message although the one before it is missing.",

		file: "clients/js/roomspa.js",
		edits: []edit{{
			old: `if (f.seq > s.since + 1) return this.drop({ reason: "gap" });`,
			new: ``,
		}},

		tests: []test{
			{"clients/js", "TestNode"},
		},
	},
	{
		name:      "js_duplicate_shown",
		guarantee: "2",
		effect:    "The JavaScript client shows a message that comes again.",

		file: "clients/js/roomspa.js",
		edits: []edit{{
			old: `if (f.seq <= s.since) return;`,
			new: ``,
		}},

		tests: []test{
			{"clients/js", "TestNode"},
		},
	},
	{
		name:      "js_unacknowledged_forgotten",
		guarantee: "1",
		effect:    "The JavaScript client forgets the message in flight when its socket is lost.",

		file: "clients/js/roomspa.js",
		edits: []edit{{
			old: `s.inFlight = null;
  }`,
			new: `s.queue = s.queue.filter((f) => f.client_message_id !== s.inFlight);
    s.inFlight = null;
  }`,
		}},

		tests: []test{
			{"clients/js", "TestNode"},
		},
	},
	{
		name:      "js_refused_overtaken",
		guarantee: "4",
		effect:    "The JavaScript client sends other messages before one that was refused for now.",

		file: "clients/js/roomspa.js",
		edits: []edit{{
			old: `Object.assign(s, { inFlight: null, sendAt: this.now + SECOND / 2 + SECOND * this.random });`,
			new: `Object.assign(s, { inFlight: null, queue: [...s.queue.slice(1), s.queue[0]] });`,
		}},

		tests: []test{
			{"clients/js", "TestNode"},
		},
	},
	{
		name:      "js_outage_is_final",
		guarantee: "1",
		effect:    "The JavaScript client gives a message up while Postgres is away.",

		file: "clients/js/roomspa.js",
		edits: []edit{{
			old: `"wrong_role", "blocked"]`,
			new: `"wrong_role", "blocked", "database_unavailable"]`,
		}},

		tests: []test{
			{"clients/js", "TestNode"},
		},
	},
}
