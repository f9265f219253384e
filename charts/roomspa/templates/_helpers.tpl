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

{{/* The pod's half of the "restricted" Pod Security Standard. */}}
{{- define "roomspa.podSecurity" -}}
automountServiceAccountToken: false
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

{{/*
A replica that is killed while it drains loses what drain is for: its clients
come back in one wave, and see 1006 instead of a reason.
*/}}
{{- define "roomspa.gracePeriod" -}}
{{- $s := .Values.shutdown -}}
{{- $needed := add $s.waitSeconds $s.drainSeconds $s.flushSeconds -}}
{{- $grace := get $s "gracePeriodSeconds" -}}
{{- if kindIs "string" $grace -}}
{{- add $needed 10 -}}
{{- else if le (int64 $grace) $needed -}}
{{- fail (printf "shutdown.gracePeriodSeconds is %d, but must be above %d: shutdown.waitSeconds + shutdown.drainSeconds + shutdown.flushSeconds" (int64 $grace) $needed) -}}
{{- else -}}
{{- int64 $grace -}}
{{- end -}}
{{- end -}}
