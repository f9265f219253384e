package fleet

import "log/slog"

// problems are all problems, the most important one first.
var problems = []*problem{clockSkew, splitLayer, hungReplicas, differentOptions, differentSecrets, redisShared, mixedVersions}

var (
	splitLayer = &problem{
		"split_channel_layer", slog.LevelError,
		"Channel layer split", "replicas share Postgres, but their heartbeats do not arrive over Redis",
		"Channel layer no longer split: the heartbeats of all replicas arrive over Redis",
		"roomspa_replicas_unheard",
		"Number of other replicas that share Postgres with this replica but whose heartbeats do not arrive over Redis.",
	}
	hungReplicas = &problem{
		"replica_hung", slog.LevelWarn,
		"Replica hung or lost", "replicas have not been heard for 30s, and have not shut down",
		"No replica is hung or lost any more",
		"roomspa_replicas_hung",
		"Number of other replicas that have not been heard for 30 s and have not shut down. Each counts for up to an hour.",
	}
	differentOptions = &problem{
		"replicas_differ", slog.LevelWarn,
		"Options differ", "replicas have different options",
		"Options no longer differ: those of all replicas are equal",
		"roomspa_replicas_with_other_options",
		"Number of other replicas whose options differ from those of this replica, among the options that must be equal.",
	}
	mixedVersions = &problem{
		"mixed_versions", slog.LevelWarn,
		"Versions differ", "replicas of different versions have been running for more than 30m",
		"Versions no longer differ",
		"roomspa_replicas_with_other_versions",
		"Number of other replicas of another version of roomspa, if both have been running for more than 30 minutes.",
	}
	differentSecrets = &problem{
		"different_secrets", slog.LevelWarn,
		"JWT secrets differ", "replicas refuse each other's tokens",
		"JWT secrets no longer differ: all replicas accept each other's tokens",
		"roomspa_replicas_with_other_secrets",
		"Number of other replicas that refuse tokens of this replica, or whose tokens this replica refuses.",
	}
	redisShared = &problem{
		"redis_shared", slog.LevelWarn,
		"Redis shared", "another deployment uses the same Redis with the same prefix",
		"Redis no longer shared with another deployment",
		"roomspa_other_deployments",
		"Number of other deployments that use the same Redis with the same prefix.",
	}
	clockSkew = &problem{
		"replica_clock_skew", slog.LevelWarn,
		"Clock skew", "the clocks of replicas differ from that of Postgres by more than 5s",
		"No more clock skew: the clocks of all replicas are close to that of Postgres",
		"roomspa_replicas_with_clock_skew",
		"Number of other replicas whose clock differs from that of Postgres by more than 5 s.",
	}
)
