{{/*
What all pods of a release share: replicas, the migration and the tests. A value that is used
here reaches each of them.
*/}}

{{/*
Metadata of a pod template; call with (dict "root" . "component" "server"). It may have
"own" (values with podLabels and podAnnotations of this kind of pod) and "annotations".
*/}}
{{- define "roomspa.podMetadata" -}}
labels:
  {{- merge (include "roomspa.selectorLabels" (list .root .component) | fromYaml) (include "roomspa.podLabels" . | fromYaml) | toYaml | nindent 2 }}
{{- with include "roomspa.podAnnotations" . | fromYaml }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "roomspa.podLabels" -}}
{{- merge (dict) (get (get . "own" | default dict) "podLabels" | default dict) .root.Values.podLabels .root.Values.commonLabels | toYaml -}}
{{- end -}}

{{- define "roomspa.podAnnotations" -}}
{{- merge (dict) (get . "annotations" | default dict) (get (get . "own" | default dict) "podAnnotations" | default dict) .root.Values.podAnnotations .root.Values.commonAnnotations | toYaml -}}
{{- end -}}

{{/*
Spec of a pod without its containers; call with (dict "root" . "secrets" (list "databaseURL")
"account" "name" "token" false). "secrets" are the keys of .Values.secrets that it may read.
*/}}
{{- define "roomspa.podSpec" -}}
{{- $root := .root -}}
{{- with .account -}}
serviceAccountName: {{ . }}
{{ end -}}
automountServiceAccountToken: {{ .token }}
# The variables of a Service named roomspa would start with ROOMSPA_, as the options do.
enableServiceLinks: false
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat $root.Values.image.pullSecrets $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
  {{- end }}
{{- end }}
{{- range $key := list "priorityClassName" "nodeSelector" "tolerations" "affinity" "dnsConfig" }}
{{- with index $root.Values $key }}
{{ dict $key . | toYaml }}
{{- end }}
{{- end }}
{{- $files := include "roomspa.files" . | trim }}
{{- if or $files $root.Values.extraVolumes }}
volumes:
  {{- with $files }}
  - name: roomspa
    projected:
      sources:
        {{- . | nindent 8 }}
  {{- end }}
  {{- with $root.Values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/*
Container without its name and arguments; call with the dict of its pod's "roomspa.podSpec"
and "env" (text) and "resources".
*/}}
{{- define "roomspa.container" -}}
{{- $root := .root -}}
image: {{ include "roomspa.image" $root | quote }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{- with $root.Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $files := include "roomspa.files" . | trim }}
{{- $own := "" }}
{{- with $root.Values.extraEnv }}{{ $own = toYaml . }}{{ end }}
{{- with list (include "roomspa.fileEnv" . | trim) (trim .env) $own | compact }}
env:
  {{- join "\n" . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
{{- if or $files $root.Values.extraVolumeMounts }}
volumeMounts:
  {{- if $files }}
  # A directory, since a file with a subPath would not follow changes of its Secret.
  - name: roomspa
    mountPath: /etc/roomspa
    readOnly: true
  {{- end }}
  {{- with $root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "roomspa.image" -}}
{{- $repository := .Values.image.repository -}}
{{- with .Values.global.imageRegistry -}}
{{- $repository = printf "%s/%s" (trimSuffix "/" .) (regexReplaceAll "^([^/]*[.:][^/]*|localhost)/" $repository "") -}}
{{- end -}}
{{- with .Values.image -}}
{{- $tag := .tag | default (ternary "" $.Chart.AppVersion (ne .digest "")) -}}
{{- $repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}
{{- end -}}

{{/*
Secrets that a pod has as files, as YAML: flag to reference. A secret is left out if an
option or extraEnv brings it in another way. Call with the dict of "roomspa.podSpec".
*/}}
{{- define "roomspa.fileSecrets" -}}
{{- $v := .root.Values -}}
{{- $given := dict -}}
{{- range $v.extraEnv }}{{ $_ := set $given .name true }}{{ end -}}
{{- range $name, $value := $v.options }}{{ if $value }}{{ $_ := set $given (include "roomspa.envName" $name) true }}{{ end }}{{ end -}}
{{- $flags := dict "databaseURL" "database-url" "redisURL" "redis-url" "jwtSecret" "jwt-secret" "jwtKeys" "jwt-keys" "opsToken" "ops-token" "jwks" "jwks" -}}
{{- $files := dict -}}
{{- range $key := .secrets -}}
{{- $secret := index $v.secrets $key -}}
{{- $env := include "roomspa.envName" (index $flags $key) -}}
{{- $elsewhere := or (hasKey $given $env) (hasKey $given (printf "%s_FILE" $env)) (and (eq $key "jwtSecret") (or $v.secrets.jwtKeys.name (hasKey $given "ROOMSPA_JWT_KEYS_FILE"))) -}}
{{- if and $secret.name (not $elsewhere) -}}
{{- $_ := set $files (index $flags $key) $secret -}}
{{- end -}}
{{- end -}}
{{- toYaml $files -}}
{{- end -}}

{{/* Sources of the volume below /etc/roomspa: each of them one key of a Secret or ConfigMap. */}}
{{- define "roomspa.files" -}}
{{- range $flag, $secret := include "roomspa.fileSecrets" . | fromYaml }}
- secret:
    name: {{ $secret.name }}
    items: [{key: {{ $secret.key }}, path: {{ $flag }}}]
{{- end }}
{{- with .root.Values.caCertificates }}
{{- if or .secret .configMap }}
- {{ ternary "secret" "configMap" (ne .secret "") }}:
    name: {{ .secret | default .configMap }}
    items: [{key: {{ .key }}, path: ca.crt}]
{{- end }}
{{- end }}
{{- end -}}

{{/* Variables that name these files. */}}
{{- define "roomspa.fileEnv" -}}
{{- range $flag, $secret := include "roomspa.fileSecrets" . | fromYaml }}
- name: {{ include "roomspa.envName" $flag }}{{ if ne $flag "jwks" }}_FILE{{ end }}
  value: /etc/roomspa/{{ $flag }}
{{- end }}
{{- with .root.Values.caCertificates }}
{{- if or .secret .configMap }}
# Added to the authorities that the image trusts.
- name: SSL_CERT_FILE
  value: /etc/roomspa/ca.crt
{{- end }}
{{- end }}
{{- end -}}

{{/* An option from a Secret; call with (list "flag-name" reference). */}}
{{- define "roomspa.secretEnv" -}}
- name: {{ include "roomspa.envName" (index . 0) }}
  valueFrom:
    secretKeyRef:
      name: {{ (index . 1).name }}
      key: {{ (index . 1).key }}
{{- end -}}

{{/* An option and its value; call with (list "flag-name" value). */}}
{{- define "roomspa.optionEnv" -}}
{{- $value := index . 1 -}}
{{- if kindIs "slice" $value -}}
{{- $value = join "," $value -}}
{{- else if and (kindIs "float64" $value) (eq (floor $value) $value) -}}
{{- /* Helm reads numbers as floats; 2000000 would be printed as 2e+06. */ -}}
{{- $value = int64 $value -}}
{{- end -}}
- name: {{ include "roomspa.envName" (index . 0) }}
  value: {{ $value | toString | quote }}
{{- end -}}

{{- define "roomspa.envName" -}}
ROOMSPA_{{ . | upper | replace "-" "_" }}
{{- end -}}

{{/* Options of replicas and of `roomspa check`. */}}
{{- define "roomspa.env" -}}
{{- $s := .Values.shutdown -}}
{{- include "roomspa.optionEnv" (list "shutdown-wait" (printf "%ds" (int $s.waitSeconds))) }}
{{ include "roomspa.optionEnv" (list "drain-timeout" (printf "%ds" (int $s.drainSeconds))) }}
{{ include "roomspa.optionEnv" (list "flush-timeout" (printf "%ds" (int $s.flushSeconds))) }}
# terminationGracePeriodSeconds, which a replica cannot read. It refuses to start if its
# shutdown takes longer.
{{ include "roomspa.optionEnv" (list "grace-period" (printf "%ss" (include "roomspa.gracePeriod" .))) }}
{{- if .Values.classicClients }}
{{ include "roomspa.optionEnv" (list "classic-clients" true) }}
{{- end }}
{{- range $name, $value := .Values.options }}
{{- /* serve would read an empty list as one empty entry. */}}
{{- if not (and (kindIs "slice" $value) (empty $value)) }}
{{ include "roomspa.optionEnv" (list $name $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Options of the migration: those of the database. The pooler selects its lock. */}}
{{- define "roomspa.databaseEnv" -}}
{{- range $name, $value := .Values.options }}
{{- if hasPrefix "database-" $name }}
{{ include "roomspa.optionEnv" (list $name $value) }}
{{- end }}
{{- end }}
{{- end -}}
