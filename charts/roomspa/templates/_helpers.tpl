{{/* 52 characters leave room for "-migrate" and what Kubernetes appends, below 63. */}}
{{- define "roomspa.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-roomspa" .Release.Name) (contains "roomspa" .Release.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* What never changes in the life of a release; call with (list . "component"). */}}
{{- define "roomspa.selectorLabels" -}}
app.kubernetes.io/name: roomspa
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "roomspa.labels" -}}
{{- $root := index . 0 -}}
{{ include "roomspa.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/*
The pod's half of the "restricted" Pod Security Standard. Whether a token of its
service account is in it, says each pod for itself.
*/}}
{{- define "roomspa.podSecurity" -}}
# The variables Kubernetes would add for a Service named roomspa start with
# ROOMSPA_ too, as the options do.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Image and the container's half of the "restricted" standard. */}}
{{- define "roomspa.container" -}}
image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
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
{{- /* YAML's numbers arrive as floats, and 2000000 would be printed as 2e+06. */ -}}
{{- $value = int64 $value -}}
{{- end -}}
- name: {{ include "roomspa.envName" (index . 0) }}
  value: {{ $value | toString | quote }}
{{- end -}}

{{- define "roomspa.envName" -}}
ROOMSPA_{{ . | upper | replace "-" "_" }}
{{- end -}}

{{/* What replicas and `roomspa check` are told. */}}
{{- define "roomspa.env" -}}
{{- $s := .Values.shutdown -}}
{{- include "roomspa.secretEnv" (list "database-url" .Values.secrets.databaseURL) }}
{{ include "roomspa.secretEnv" (list "redis-url" .Values.secrets.redisURL) }}
{{ include "roomspa.optionEnv" (list "jwt-secret-file" "/etc/roomspa/jwt/secrets") }}
{{- if .Values.secrets.jwks.name }}
{{ include "roomspa.optionEnv" (list "jwks" (printf "/etc/roomspa/jwks/%s" .Values.secrets.jwks.key)) }}
{{- end }}
{{ include "roomspa.optionEnv" (list "shutdown-wait" (printf "%ds" (int $s.waitSeconds))) }}
{{ include "roomspa.optionEnv" (list "drain-timeout" (printf "%ds" (int $s.drainSeconds))) }}
{{ include "roomspa.optionEnv" (list "flush-timeout" (printf "%ds" (int $s.flushSeconds))) }}
# What Kubernetes will grant: a replica cannot look it up, and must not plan beyond it.
{{ include "roomspa.optionEnv" (list "grace-period" (printf "%ss" (include "roomspa.gracePeriod" .))) }}
{{- range $name, $value := .Values.options }}
{{- /* An empty list is no list: serve would read "" as one empty entry. */}}
{{- if not (and (kindIs "slice" $value) (empty $value)) }}
{{ include "roomspa.optionEnv" (list $name $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* The files that replicas and `roomspa check` are told of. */}}
{{- define "roomspa.volumeMounts" -}}
# Directories, not files: only so does a changed Secret arrive in them.
volumeMounts:
  - name: jwt
    mountPath: /etc/roomspa/jwt
    readOnly: true
{{- if .Values.secrets.jwks.name }}
  - name: jwks
    mountPath: /etc/roomspa/jwks
    readOnly: true
{{- end }}
{{- end -}}

{{- define "roomspa.volumes" -}}
volumes:
  - name: jwt
    secret:
      secretName: {{ .Values.secrets.jwtSecret.name }}
      # What else is in it is not for a file.
      items:
        - key: {{ .Values.secrets.jwtSecret.key }}
          path: secrets
{{- if .Values.secrets.jwks.name }}
  - name: jwks
    secret:
      secretName: {{ .Values.secrets.jwks.name }}
{{- end }}
{{- end -}}

{{/* Where pods may run, which is the same for all of them. */}}
{{- define "roomspa.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A duration as Go writes it (1m30s), in whole seconds. */}}
{{- define "roomspa.seconds" -}}
{{- $start := toDate "2006-01-02" "2001-01-01" -}}
{{- sub (int64 (mustDateModify (printf "+%s" .) $start | unixEpoch)) (int64 ($start | unixEpoch)) -}}
{{- end -}}

{{- define "roomspa.softLimit" -}}
{{- int64 (index .Values.options "soft-limit" | default 18000) -}}
{{- end -}}

{{/* How many replicas there are at least, and at most. */}}
{{- define "roomspa.least" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicas (ne .Values.autoscaling.by "") | int64 -}}
{{- end -}}

{{- define "roomspa.most" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicas (ne .Values.autoscaling.by "") | int64 -}}
{{- end -}}

{{/* The labels that find this release's series. */}}
{{- define "roomspa.series" -}}
{{- .Values.metrics.selector | default (printf "namespace=%q,pod=~\"%s-.+\"" .Release.Namespace (include "roomspa.fullname" .)) -}}
{{- end -}}

{{/* Empty: 10 s more than it takes to leave. Whether a chosen one is enough, "roomspa.refuse" says. */}}
{{- define "roomspa.gracePeriod" -}}
{{- $s := .Values.shutdown -}}
{{- $grace := get $s "gracePeriodSeconds" -}}
{{- if kindIs "string" $grace -}}
{{- add $s.waitSeconds $s.drainSeconds $s.flushSeconds 10 -}}
{{- else -}}
{{- int64 $grace -}}
{{- end -}}
{{- end -}}

{{- define "roomspa.minReadySeconds" -}}
{{- $s := .Values.shutdown -}}
{{- $chosen := get .Values "minReadySeconds" -}}
{{- if kindIs "string" $chosen -}}
{{- add $s.waitSeconds $s.drainSeconds $s.flushSeconds -}}
{{- else -}}
{{- int64 $chosen -}}
{{- end -}}
{{- end -}}
