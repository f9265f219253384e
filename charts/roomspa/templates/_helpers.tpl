{{/*
The limit of 63 characters includes "-migrate" and the suffix of a pod's name. A longer name
ends with a hash, since two of them may start alike. The chart has another name if a parent
chart gives it an alias, which may have capitals and underscores.
*/}}
{{- define "roomspa.fullname" -}}
{{- $chart := .Chart.Name -}}
{{- $full := printf "%s-%s" .Release.Name $chart -}}
{{- if and (eq $chart "roomspa") (contains $chart .Release.Name) -}}
{{- $full = .Release.Name -}}
{{- end -}}
{{- $full = $full | lower | replace "." "-" | replace "_" "-" -}}
{{- if gt (len $full) 52 -}}
{{- $full = printf "%s-%s" ($full | trunc 43 | trimSuffix "-") (sha256sum $full | trunc 8) -}}
{{- end -}}
{{- .Values.fullnameOverride | default $full -}}
{{- end -}}

{{/* Labels that must not change during the life of a release; call with (list . "component"). */}}
{{- define "roomspa.selectorLabels" -}}
{{- $root := index . 0 -}}
{{- dict "app.kubernetes.io/name" $root.Chart.Name "app.kubernetes.io/instance" $root.Release.Name "app.kubernetes.io/component" (index . 1) | toYaml -}}
{{- end -}}

{{/*
Metadata of every object; call with (dict "root" . "component" "server"). It may have a
"suffix" of the name, and "labels" and "annotations" of this object alone.
*/}}
{{- define "roomspa.metadata" -}}
{{- $root := .root -}}
{{- $chart := printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 -}}
{{- $own := dict "app.kubernetes.io/version" $root.Chart.AppVersion "app.kubernetes.io/managed-by" $root.Release.Service "helm.sh/chart" $chart -}}
name: {{ include "roomspa.fullname" $root }}{{ get . "suffix" }}
namespace: {{ $root.Release.Namespace | quote }}
labels:
  {{- merge (include "roomspa.selectorLabels" (list $root .component) | fromYaml) $own (get . "labels" | default dict) $root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge (dict) (get . "annotations" | default dict) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Fields of every Service for clusters with IPv4 and IPv6. */}}
{{- define "roomspa.serviceFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies:
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

{{/*
Label matchers of this release's series. Pods are named <Deployment>-<hash>-<5 characters>;
Kubernetes cuts the hash and its dash off a long name. Another release has more dashes.
*/}}
{{- define "roomspa.series" -}}
{{- .Values.metrics.selector | default (printf "namespace=%q,pod=~\"%s-[a-z0-9]+-?[a-z0-9]{5}\"" .Release.Namespace (include "roomspa.fullname" .)) -}}
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
