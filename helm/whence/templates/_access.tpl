{{/* TLS and identities: which settings say so, and the Secrets that are mounted for them. */}}

{{/* "true" if the front end serves TLS, else empty. */}}
{{- define "whence.servesTls" -}}
{{- if .Values.tls.clients.enabled }}true{{ end -}}
{{- end -}}

{{/* "true" if workers serve mutual TLS, else empty. */}}
{{- define "whence.workersServeTls" -}}
{{- if and .Values.tls.workers.enabled (not .Values.embedded) }}true{{ end -}}
{{- end -}}

{{/* A Secret with a certificate: the given one, or that of cert-manager. (dict "root" $ "given" "" "name" "worker") */}}
{{- define "whence.certificateSecret" -}}
{{- if .given }}{{ .given }}{{ else if .root.Values.certificates.enabled }}{{ include "whence.fullname" .root }}-{{ .name }}-tls{{ end -}}
{{- end -}}

{{- define "whence.frontEndSecret" -}}
{{- include "whence.certificateSecret" (dict "root" $ "given" .Values.tls.clients.existingSecret "name" "front-end") -}}
{{- end -}}

{{- define "whence.workerServerSecret" -}}
{{- include "whence.certificateSecret" (dict "root" $ "given" .Values.tls.workers.serverSecret "name" "worker") -}}
{{- end -}}

{{- define "whence.workerClientSecret" -}}
{{- include "whence.certificateSecret" (dict "root" $ "given" .Values.tls.workers.clientSecret "name" "worker-client") -}}
{{- end -}}

{{/* Who may call, and over what, as settings of the front end. → YAML */}}
{{- define "whence.accessSettings" -}}
{{- with .Values.auth }}
{{- if .insecure }}
insecure: true
{{- end }}
{{- if .keys.existingSecret }}
keys_file: {{ printf "/etc/whence/keys/%s" .keys.key | quote }}
{{- end }}
{{- if .policy.existingConfigMap }}
policy_file: {{ printf "/etc/whence/policy/%s" .policy.key | quote }}
{{- end }}
{{- if .oidc.issuer }}
oidc_issuer: {{ .oidc.issuer | quote }}
oidc_audience: {{ .oidc.audience | quote }}
{{- with .oidc.jwks }}
oidc_jwks: {{ . | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "whence.servesTls" . }}
tls_certificate: /etc/whence/tls/tls.crt
tls_key: /etc/whence/tls/tls.key
{{- if .Values.tls.clients.requireCertificates }}
tls_client_ca: /etc/whence/tls/ca.crt
{{- end }}
{{- end }}
{{- if include "whence.workersServeTls" . }}
workers_tls_ca: /etc/whence/worker-tls/ca.crt
workers_tls_certificate: /etc/whence/worker-tls/tls.crt
workers_tls_key: /etc/whence/worker-tls/tls.key
{{- end }}
{{- end -}}

{{/* Those of a worker. → YAML */}}
{{- define "whence.workerAccessSettings" -}}
{{- if include "whence.workersServeTls" . }}
tls_certificate: /etc/whence/tls/tls.crt
tls_key: /etc/whence/tls/tls.key
tls_client_ca: /etc/whence/tls/ca.crt
{{- else if not .Values.embedded }}
# The network policy lets in front ends alone.
insecure: true
{{- end }}
{{- end -}}

{{/* Volumes of existing objects: {name: {secret: …}} or {name: {configMap: …}}, each mounted at /etc/whence/NAME. → YAML
     Whole folders, not subPath: these follow their Secret when it changes. */}}
{{- define "whence.frontEndFiles" -}}
{{- with .Values.auth.keys.existingSecret }}
keys: {secret: {secretName: {{ . | quote }}, defaultMode: 0440}}
{{- end }}
{{- with .Values.auth.policy.existingConfigMap }}
policy: {configMap: {name: {{ . | quote }}}}
{{- end }}
{{- with .Values.quotas.existingConfigMap }}
quotas: {configMap: {name: {{ . | quote }}}}
{{- end }}
{{- if include "whence.servesTls" . }}
tls: {secret: {secretName: {{ include "whence.frontEndSecret" . }}, defaultMode: 0440}}
{{- end }}
{{- if include "whence.workersServeTls" . }}
worker-tls: {secret: {secretName: {{ include "whence.workerClientSecret" . }}, defaultMode: 0440}}
{{- end }}
{{- if or .Values.embedded (include "whence.countsTogether" .) }}
{{ include "whence.redisFiles" . }}
{{- end }}
{{- end -}}

{{- define "whence.workerFiles" -}}
{{- if include "whence.workersServeTls" . }}
tls: {secret: {secretName: {{ include "whence.workerServerSecret" . }}, defaultMode: 0440}}
{{- end }}
{{ include "whence.redisFiles" . }}
{{- end -}}

{{/* Those volumes, and their mounts. (the YAML of a template above) */}}
{{- define "whence.fileVolumes" -}}
{{- range $name, $source := fromYaml . }}
- {{ merge (dict "name" $name) $source | toJson }}
{{- end }}
{{- end -}}

{{- define "whence.fileMounts" -}}
{{- range $name, $source := fromYaml . }}
- {name: {{ $name }}, mountPath: /etc/whence/{{ $name }}, readOnly: true}
{{- end }}
{{- end -}}
