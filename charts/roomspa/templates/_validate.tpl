{{/*
Checks of values that depend on each other, which the schema cannot express. Each
message names the key and says what works.
*/}}
{{- define "roomspa.validate" -}}
{{- include "roomspa.validate.shutdown" . -}}
{{- include "roomspa.validate.database" . -}}
{{- include "roomspa.validate.proxy" . -}}
{{- include "roomspa.validate.ways" . -}}
{{- include "roomspa.validate.scaling" . -}}
{{- include "roomspa.validate.budget" . -}}
{{- include "roomspa.validate.names" . -}}
{{- end -}}

{{/* Names that the objects of another release have, and variables that are set twice. */}}
{{- define "roomspa.validate.names" -}}
{{- $name := include "roomspa.fullname" . -}}
{{- if regexMatch "-(ops|unready|migrate|dashboard|check|message)$" $name -}}
{{- $other := $name | splitList "-" | initial | join "-" -}}
{{- fail (printf "the objects of this release would be named %s, as an object of a release named %s: choose another release name, or set fullnameOverride" $name $other) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "the objects of this release would be named %s, but the name of a Service must begin with a letter: choose another release name, or set fullnameOverride" $name) -}}
{{- end -}}
{{- $set := dict -}}
{{- $files := include "roomspa.fileEnv" (dict "root" . "secrets" list) | fromYamlArray -}}
{{- range concat (include "roomspa.env" . | fromYamlArray) $files .Values.extraEnv -}}
{{- if hasKey $set .name -}}
{{- fail (printf "%s is set twice: by extraEnv, and by options or another value" .name) -}}
{{- end -}}
{{- $_ := set $set .name true -}}
{{- end -}}
{{- if and .Values.caCertificates.secret .Values.caCertificates.configMap -}}
{{- fail "caCertificates.secret and caCertificates.configMap are both set: set only one of them" -}}
{{- end -}}
{{- end -}}

{{/*
The clients of a replica that is killed while it drains reconnect all at once, and see
1006 and no reason.
*/}}
{{- define "roomspa.validate.shutdown" -}}
{{- $s := .Values.shutdown -}}
{{- $needed := add $s.waitSeconds $s.drainSeconds $s.flushSeconds -}}
{{- $grace := int64 (include "roomspa.gracePeriod" .) -}}
{{- if le $grace $needed -}}
{{- fail (printf "shutdown.gracePeriodSeconds is %d, but must be above %d (shutdown.waitSeconds + shutdown.drainSeconds + shutdown.flushSeconds)" $grace $needed) -}}
{{- end -}}
{{- end -}}

{{/* Above its limit Postgres refuses new connections. */}}
{{- define "roomspa.validate.database" -}}
{{- $pool := int64 (index .Values.options "database-max-connections" | default 16) -}}
{{- $most := int64 (include "roomspa.most" .) -}}
{{- $needed := mul $pool (add $most 1) -}}
{{- $key := ternary "autoscaling.maxReplicas" "replicas" (ne .Values.autoscaling.by "") -}}
{{- if and (gt $most 0) (gt $needed (int64 .Values.databaseConnections)) -}}
{{- fail (printf "%s is %d, and an update adds one replica: with options.database-max-connections %d they open %d connections to Postgres, more than databaseConnections, %d" $key $most $pool $needed (int64 .Values.databaseConnections)) -}}
{{- end -}}
{{- end -}}

{{- define "roomspa.validate.proxy" -}}
{{- $ping := index .Values.options "ping-interval" | default "25s" -}}
{{- if ge (int64 (include "roomspa.seconds" $ping)) (int64 .Values.proxyIdleSeconds) -}}
{{- fail (printf "options.ping-interval is %s, but must be below proxyIdleSeconds, %d: the proxy would cut idle connections" $ping (int64 .Values.proxyIdleSeconds)) -}}
{{- end -}}
{{- end -}}

{{/* Ingress, route and key set. */}}
{{- define "roomspa.validate.ways" -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute.parentRefs is empty, but httpRoute.enabled is true: name the gateway of the route" -}}
{{- end -}}
{{- if and .Values.ingress.tlsSecret (not .Values.ingress.hosts) -}}
{{- fail "ingress.hosts is empty, but ingress.tlsSecret is set: list the host names of the certificate" -}}
{{- end -}}
{{- if and .Values.secrets.jwks.name (index .Values.options "jwks") -}}
{{- fail "options.jwks and secrets.jwks.name are both set: set only one of them" -}}
{{- end -}}
{{- end -}}

{{- define "roomspa.validate.scaling" -}}
{{- $a := .Values.autoscaling -}}
{{- if $a.by -}}
{{- if lt (int64 $a.maxReplicas) (int64 $a.minReplicas) -}}
{{- fail (printf "autoscaling.maxReplicas is %d, but must not be below autoscaling.minReplicas, %d" (int64 $a.maxReplicas) (int64 $a.minReplicas)) -}}
{{- end -}}
{{- if ge (int64 $a.connectionsPerReplica) (int64 (include "roomspa.softLimit" .)) -}}
{{- fail (printf "autoscaling.connectionsPerReplica is %d, but must be below options.soft-limit, %s: replicas would refuse connections before the autoscaler adds one" (int64 $a.connectionsPerReplica) (include "roomspa.softLimit" .)) -}}
{{- end -}}
{{- $down := get (get $a "behavior" | default dict) "scaleDown" | default dict -}}
{{- if and (not (get $down "policies")) (ne (get $down "selectPolicy") "Disabled") -}}
{{- fail "autoscaling.behavior.scaleDown.policies is empty: Kubernetes would remove all surplus replicas at once, with their sockets; limit the number of replicas per period" -}}
{{- end -}}
{{- if and (eq $a.by "keda") (not $a.keda.serverAddress) -}}
{{- fail "autoscaling.keda.serverAddress is empty, but autoscaling.by is keda: set the URL of Prometheus" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Percentages are rounded up, as in Kubernetes: 50% of one replica is one. */}}
{{- define "roomspa.validate.budget" -}}
{{- $b := .Values.disruptionBudget -}}
{{- $least := int64 (include "roomspa.least" .) -}}
{{- if $b.enabled -}}
{{- $max := toString $b.maxUnavailable -}}
{{- $min := toString $b.minAvailable -}}
{{- if and $min $max -}}
{{- fail "disruptionBudget.minAvailable and disruptionBudget.maxUnavailable are both set: set one of them to \"\"" -}}
{{- else if not (or $min $max) -}}
{{- fail "disruptionBudget.maxUnavailable and disruptionBudget.minAvailable are both empty: set one of them, or disruptionBudget.enabled: false" -}}
{{- else if and $max (has $max (list "0" "0%")) -}}
{{- fail (printf "disruptionBudget.maxUnavailable is %s: it would block every node drain" $max) -}}
{{- else if and $min (gt $least 0) -}}
{{- $kept := int64 (trimSuffix "%" $min) -}}
{{- if hasSuffix "%" $min -}}
{{- $kept = div (add (mul $kept $least) 99) 100 -}}
{{- end -}}
{{- if ge $kept $least -}}
{{- fail (printf "disruptionBudget.minAvailable is %s, but there may be only %d replicas (%s): it would block every node drain; use disruptionBudget.maxUnavailable" $min $least (ternary "autoscaling.minReplicas" "replicas" (ne .Values.autoscaling.by ""))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
