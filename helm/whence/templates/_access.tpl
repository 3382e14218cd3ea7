{{/* TLS and identities. */}}

{{/* "true" if the front end serves TLS, else empty. */}}
{{- define "whence.servesTls" -}}
{{- end -}}

{{/* Who may call, as settings of the front end. → YAML */}}
{{- define "whence.accessSettings" -}}
{{- if .Values.auth.insecure }}
insecure: true
{{- end }}
{{- if .Values.auth.keys.existingSecret }}
keys_file: /etc/whence/keys/{{ .Values.auth.keys.key }}
{{- end }}
{{- end -}}

{{/* The volumes of those settings. Not by subPath: a mounted folder follows its Secret. */}}
{{- define "whence.accessVolumes" -}}
{{- with .Values.auth.keys.existingSecret }}
- name: keys
  secret: {secretName: {{ . }}, defaultMode: 0440}
{{- end }}
{{- end -}}

{{- define "whence.accessMounts" -}}
{{- if .Values.auth.keys.existingSecret }}
- {name: keys, mountPath: /etc/whence/keys, readOnly: true}
{{- end }}
{{- end -}}
