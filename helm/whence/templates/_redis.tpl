{{/* The shared cache of query gradients: how a worker finds it, and what it needs for that. */}}

{{/* "true" if Redis asks for a password, else empty. */}}
{{- define "whence.redisPassword" -}}
{{- if and (ne .Values.redis.mode "none") .Values.redis.existingSecret }}true{{ end -}}
{{- end -}}

{{/* The settings of a worker. → YAML */}}
{{- define "whence.redisSettings" -}}
{{- $redis := .Values.redis -}}
{{- if eq $redis.mode "bundled" }}
redis_url: redis://{{ include "whence.fullname" . }}-redis.{{ .Release.Namespace }}.svc:6379/0
{{- else if eq $redis.mode "external" }}
redis_url: {{ $redis.external.url | quote }}
{{- with $redis.external.username }}
redis_username: {{ . | quote }}
{{- end }}
{{- if $redis.external.caConfigMap }}
redis_tls_ca: /etc/whence/redis-ca/ca.crt
{{- end }}
{{- end }}
{{- if include "whence.redisPassword" . }}
redis_password_file: {{ printf "/etc/whence/redis/%s" $redis.passwordKey | quote }}
{{- end }}
{{- end -}}

{{- define "whence.redisFiles" -}}
{{- if include "whence.redisPassword" . }}
redis: {secret: {secretName: {{ .Values.redis.existingSecret | quote }}, defaultMode: 0440}}
{{- end }}
{{- if and (eq .Values.redis.mode "external") .Values.redis.external.caConfigMap }}
redis-ca: {configMap: {name: {{ .Values.redis.external.caConfigMap | quote }}}}
{{- end }}
{{- end -}}

{{/* "true" if front ends count quotas in Redis, else empty. */}}
{{- define "whence.countsTogether" -}}
{{- if and .Values.quotas.existingConfigMap .Values.quotas.countTogether }}true{{ end -}}
{{- end -}}

{{/* Quotas, as settings of the front end. Without Redis, each front end grants its share. → YAML */}}
{{- define "whence.quotaSettings" -}}
{{- with .Values.quotas.existingConfigMap }}
quotas_file: {{ printf "/etc/whence/quotas/%s" $.Values.quotas.key | quote }}
quotas_local_share: {{ divf 1 (ternary $.Values.frontEnd.autoscaling.maxReplicas $.Values.frontEnd.replicas $.Values.frontEnd.autoscaling.enabled | int | max 1) }}
{{- end }}
{{- if include "whence.countsTogether" . }}
{{- range $name, $value := include "whence.redisSettings" . | fromYaml }}
quotas_{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}
