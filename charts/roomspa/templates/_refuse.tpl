{{/*
What the schema cannot see: values that do not work together. Each message names
the key, and says what would work.
*/}}
{{- define "roomspa.refuse" -}}
{{- include "roomspa.refuse.shutdown" . -}}
{{- include "roomspa.refuse.database" . -}}
{{- include "roomspa.refuse.proxy" . -}}
{{- include "roomspa.refuse.ways" . -}}
{{- include "roomspa.refuse.scaling" . -}}
{{- include "roomspa.refuse.budget" . -}}
{{- end -}}

{{/*
A replica that is killed while it drains loses what drain is for: its clients
come back in one wave, and see 1006 instead of a reason.
*/}}
{{- define "roomspa.refuse.shutdown" -}}
{{- $s := .Values.shutdown -}}
{{- $needed := add $s.waitSeconds $s.drainSeconds $s.flushSeconds -}}
{{- $grace := int64 (include "roomspa.gracePeriod" .) -}}
{{- if le $grace $needed -}}
{{- fail (printf "shutdown.gracePeriodSeconds is %d, but must be above %d: shutdown.waitSeconds + shutdown.drainSeconds + shutdown.flushSeconds" $grace $needed) -}}
{{- end -}}
{{- end -}}

{{/* Beyond its limit Postgres refuses whoever comes last, which may be everybody's sign-in. */}}
{{- define "roomspa.refuse.database" -}}
{{- $pool := int64 (index .Values.options "database-max-connections" | default 16) -}}
{{- $most := int64 (include "roomspa.most" .) -}}
{{- $needed := mul $pool (add $most 1) -}}
{{- $key := ternary "autoscaling.maxReplicas" "replicas" (ne .Values.autoscaling.by "") -}}
{{- if and (gt $most 0) (gt $needed (int64 .Values.databaseConnections)) -}}
{{- fail (printf "%s is %d, and an update adds one: with options.database-max-connections of %d that is %d connections to Postgres, above databaseConnections, %d" $key $most $pool $needed (int64 .Values.databaseConnections)) -}}
{{- end -}}
{{- end -}}

{{- define "roomspa.refuse.proxy" -}}
{{- $ping := index .Values.options "ping-interval" | default "25s" -}}
{{- if ge (int64 (include "roomspa.seconds" $ping)) (int64 .Values.proxyIdleSeconds) -}}
{{- fail (printf "options.ping-interval is %s, but must be below proxyIdleSeconds, %d: the proxy would cut every socket that is silent" $ping (int64 .Values.proxyIdleSeconds)) -}}
{{- end -}}
{{- end -}}

{{/* Ways in, and what comes in by them. */}}
{{- define "roomspa.refuse.ways" -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty, but httpRoute.enabled is true: a route that no gateway has leads nowhere" -}}
{{- end -}}
{{- if and .Values.ingress.tlsSecret (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty, but ingress.tlsSecret is set: a certificate is for host names" -}}
{{- end -}}
{{- if and .Values.secrets.jwks.name (index .Values.options "jwks") -}}
{{- fail "options.jwks and secrets.jwks.name are both set: the key set is at a URL or in a Secret, not both" -}}
{{- end -}}
{{- end -}}

{{- define "roomspa.refuse.scaling" -}}
{{- $a := .Values.autoscaling -}}
{{- if $a.by -}}
{{- if lt (int64 $a.maxReplicas) (int64 $a.minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, but must not be below autoscaling.minReplicas, %d" (int64 $a.maxReplicas) (int64 $a.minReplicas)) -}}
{{- end -}}
{{- if ge (int64 $a.connectionsPerReplica) (int64 (include "roomspa.softLimit" .)) -}}
{{- fail (printf "autoscaling.connectionsPerReplica is %d, but must be below options.soft-limit, %s: replicas would refuse before there are more of them" (int64 $a.connectionsPerReplica) (include "roomspa.softLimit" .)) -}}
{{- end -}}
{{- $down := get (get $a "behavior" | default dict) "scaleDown" | default dict -}}
{{- if and (not (get $down "policies")) (ne (get $down "selectPolicy") "Disabled") -}}
{{- fail "autoscaling.behavior.scaleDown.policies is empty: by default all that is too much goes at once, and its sockets with it; say how many may go in which time" -}}
{{- end -}}
{{- if and (eq $a.by "keda") (not $a.keda.serverAddress) -}}
{{- fail "autoscaling.keda.serverAddress is empty, but autoscaling.by is keda: it asks Prometheus for the number of sockets" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Percentages are rounded up, as Kubernetes does: 50% of one replica is that replica. */}}
{{- define "roomspa.refuse.budget" -}}
{{- $b := .Values.disruptionBudget -}}
{{- $least := int64 (include "roomspa.least" .) -}}
{{- if $b.enabled -}}
{{- $max := toString $b.maxUnavailable -}}
{{- $min := toString $b.minAvailable -}}
{{- if and $min $max -}}
{{- fail "disruptionBudget.minAvailable and disruptionBudget.maxUnavailable are both set: a budget has one of them; set the other one to \"\"" -}}
{{- else if not (or $min $max) -}}
{{- fail "disruptionBudget.maxUnavailable is empty, and disruptionBudget.minAvailable too: a budget needs one of them, or disruptionBudget.enabled: false" -}}
{{- else if and $max (has $max (list "0" "0%")) -}}
{{- fail (printf "disruptionBudget.maxUnavailable is %s: no node that a replica runs on could ever be emptied" $max) -}}
{{- else if and $min (gt $least 0) -}}
{{- $kept := int64 (trimSuffix "%" $min) -}}
{{- if hasSuffix "%" $min -}}
{{- $kept = div (add (mul $kept $least) 99) 100 -}}
{{- end -}}
{{- if ge $kept $least -}}
{{- fail (printf "disruptionBudget.minAvailable is %s, and there may be no more than %d replicas (%s): no node that one runs on could ever be emptied; use disruptionBudget.maxUnavailable" $min $least (ternary "autoscaling.minReplicas" "replicas" (ne .Values.autoscaling.by ""))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
