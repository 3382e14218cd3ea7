{{/* The front end's settings, what the chart decides included. → YAML */}}
{{- define "whence.frontEndSettings" -}}
{{- $settings := dict "address" (printf "%s:50051" .Values.bindAddress) "metrics_address" (printf "%s:9090" .Values.bindAddress) -}}
{{- if not .Values.embedded -}}
{{- $_ := set $settings "workers" (list (printf "dns:///%s-worker.%s.svc:50061" (include "whence.fullname" .) .Release.Namespace)) -}}
{{- end -}}
{{- mergeOverwrite $settings (include "whence.accessSettings" . | fromYaml) (include "whence.quotaSettings" . | fromYaml) (include "whence.tracingSettings" . | fromYaml) .Values.frontEnd.settings | toYaml -}}
{{- end -}}
