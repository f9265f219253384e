{{/* The limit of 63 characters includes "-migrate" and the suffix of a pod's name. */}}
{{- define "roomspa.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-roomspa" .Release.Name) (contains "roomspa" .Release.Name) -}}
{{- $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{/* Labels that must not change during the life of a release; call with (list . "component"). */}}
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

{{/* The pod's part of the "restricted" Pod Security Standard. */}}
{{- define "roomspa.podSecurity" -}}
# The variables of a Service named roomspa would start with ROOMSPA_, as the options do.
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

{{/* Image, and the container's part of the "restricted" standard. */}}
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
{{- /* Helm reads numbers as floats; 2000000 would be printed as 2e+06. */ -}}
{{- $value = int64 $value -}}
{{- end -}}
- name: {{ include "roomspa.envName" (index . 0) }}
  value: {{ $value | toString | quote }}
{{- end -}}

{{- define "roomspa.envName" -}}
ROOMSPA_{{ . | upper | replace "-" "_" }}
{{- end -}}

{{/* Environment of replicas and of `roomspa check`. */}}
{{- define "roomspa.env" -}}
{{- $s := .Values.shutdown -}}
{{- include "roomspa.secretEnv" (list "database-url" .Values.secrets.databaseURL) }}
{{ include "roomspa.secretEnv" (list "redis-url" .Values.secrets.redisURL) }}
{{ include "roomspa.optionEnv" (list "jwt-secret-file" "/etc/roomspa/jwt/secrets") }}
{{- if .Values.secrets.opsToken.name }}
{{ include "roomspa.secretEnv" (list "ops-token" .Values.secrets.opsToken) }}
{{- end }}
{{- if .Values.secrets.jwks.name }}
{{ include "roomspa.optionEnv" (list "jwks" (printf "/etc/roomspa/jwks/%s" .Values.secrets.jwks.key)) }}
{{- end }}
{{ include "roomspa.optionEnv" (list "shutdown-wait" (printf "%ds" (int $s.waitSeconds))) }}
{{ include "roomspa.optionEnv" (list "drain-timeout" (printf "%ds" (int $s.drainSeconds))) }}
{{ include "roomspa.optionEnv" (list "flush-timeout" (printf "%ds" (int $s.flushSeconds))) }}
# terminationGracePeriodSeconds, which a replica cannot read. It refuses to start if its
# shutdown takes longer.
{{ include "roomspa.optionEnv" (list "grace-period" (printf "%ss" (include "roomspa.gracePeriod" .))) }}
{{- range $name, $value := .Values.options }}
{{- /* serve would read an empty list as one empty entry. */}}
{{- if not (and (kindIs "slice" $value) (empty $value)) }}
{{ include "roomspa.optionEnv" (list $name $value) }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Files of replicas and of `roomspa check`. */}}
{{- define "roomspa.volumeMounts" -}}
# Directories, since a file with a subPath would not follow changes of the Secret.
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
      # Only this key: the Secret may hold others.
      items:
        - key: {{ .Values.secrets.jwtSecret.key }}
          path: secrets
{{- if .Values.secrets.jwks.name }}
  - name: jwks
    secret:
      secretName: {{ .Values.secrets.jwks.name }}
{{- end }}
{{- end -}}

{{/* Placement of all pods. */}}
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

{{/* Converts a Go duration (1m30s) to whole seconds. */}}
{{- define "roomspa.seconds" -}}
{{- $start := toDate "2006-01-02" "2001-01-01" -}}
{{- sub (int64 (mustDateModify (printf "+%s" .) $start | unixEpoch)) (int64 ($start | unixEpoch)) -}}
{{- end -}}

{{- define "roomspa.softLimit" -}}
{{- int64 (index .Values.options "soft-limit" | default 18000) -}}
{{- end -}}

{{/* Minimum and maximum number of replicas. */}}
{{- define "roomspa.least" -}}
{{- ternary .Values.autoscaling.minReplicas .Values.replicas (ne .Values.autoscaling.by "") | int64 -}}
{{- end -}}

{{- define "roomspa.most" -}}
{{- ternary .Values.autoscaling.maxReplicas .Values.replicas (ne .Values.autoscaling.by "") | int64 -}}
{{- end -}}

{{/* Label matchers of this release's series. */}}
{{- define "roomspa.series" -}}
{{- .Values.metrics.selector | default (printf "namespace=%q,pod=~\"%s-.+\"" .Release.Namespace (include "roomspa.fullname" .)) -}}
{{- end -}}

{{/* Default: 10 s more than the shutdown takes. "roomspa.validate" checks a given value. */}}
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
