{{/* The front end's settings, what the chart decides included. → YAML */}}
{{- define "whence.frontEndSettings" -}}
{{- $settings := dict "address" (printf "%s:50051" .Values.bindAddress) "metrics_address" (printf "%s:9090" .Values.bindAddress) -}}
{{- if not .Values.embedded -}}
{{- $_ := set $settings "workers" (list (printf "dns:///%s-worker.%s.svc:50061" (include "whence.fullname" .) .Release.Namespace)) -}}
{{- end -}}
{{- mergeOverwrite $settings (include "whence.accessSettings" . | fromYaml) (include "whence.quotaSettings" . | fromYaml) (include "whence.tracingSettings" . | fromYaml) .Values.frontEnd.settings | toYaml -}}
{{- end -}}

{{/* Its variables, and in an embedded pod those of the worker too. */}}
{{- define "whence.frontEndVariables" -}}
{{- include "whence.variables" (dict "prefix" "WHENCE_" "settings" (include "whence.frontEndSettings" . | fromYaml)) }}
{{- if .Values.embedded }}
{{- $model := include "whence.model" (dict "root" . "model" (first .Values.models)) | fromYaml }}
{{- $settings := include "whence.workerSettings" (dict "root" . "model" $model "group" 0) | fromYaml }}
{{- include "whence.variables" (dict "prefix" "WHENCE_WORKER_" "settings" (omit $settings "address" "metrics_address")) }}
{{- end }}
{{- end -}}
