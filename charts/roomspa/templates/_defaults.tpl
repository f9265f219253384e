{{/*
Completes .Values in place: a value that is absent or null gets its default. It is absent
after `helm upgrade --reuse-values` from a chart that did not have it, and after --set
key=null. defaults.yaml is a copy of values.yaml, which Helm does not show to templates.
Each template starts with this, since Helm promises no order among them.
*/}}
{{- define "roomspa.defaults" -}}
{{- if not (hasKey .Values "complete") -}}
{{- include "roomspa.fill" (list .Values (.Files.Get "defaults.yaml" | fromYaml) "") -}}
{{- $_ := set .Values "complete" true -}}
{{- end -}}
{{- end -}}

{{/*
Call with (list values defaults "path."). The objects of $whole get their default only as a
whole: a null in them takes a part of the default away, as in resources.limits=null, and
Helm removes the null before the chart sees it. In three of them "" does the same, since Helm 4
keeps the default where a parent chart has the null among its own values.
*/}}
{{- define "roomspa.fill" -}}
{{- $whole := list "resources" "podSecurityContext" "securityContext" "autoscaling.behavior" "dashboard.labels" -}}
{{- $values := index . 0 -}}
{{- $defaults := index . 1 -}}
{{- $path := index . 2 -}}
{{- range $key, $value := $values -}}
{{- if or (kindIs "invalid" $value) (and (eq (toString $value) "") (regexMatch "^(resources|podSecurityContext|securityContext)[.]" $path)) -}}
{{- $_ := unset $values $key -}}
{{- else if and (kindIs "map" $value) (or (empty $defaults) (hasKey $defaults $key)) -}}
{{- $at := printf "%s%s" $path $key -}}
{{- $below := ternary dict (get $defaults $key | default dict) (has $at $whole) -}}
{{- include "roomspa.fill" (list $value $below (printf "%s." $at)) -}}
{{- end -}}
{{- end -}}
{{- range $key, $default := $defaults -}}
{{- if not (hasKey $values $key) }}{{ $_ := set $values $key $default }}{{ end -}}
{{- end -}}
{{- end -}}
