{{/* Pieces of NetworkPolicies. */}}

{{/* The pods of a component, as a peer. (dict "root" $ "component" "worker") */}}
{{- define "whence.peer" -}}
- podSelector:
    matchLabels:
      {{- include "whence.selector" . | nindent 6 }}
{{- end -}}

{{/* The rule by which a component resolves names. */}}
{{- define "whence.resolves" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- end -}}

{{/* The rule by which Prometheus reads metrics. (dict "root" $ "port" 9090) */}}
{{- define "whence.scraped" -}}
- from:
    {{- toYaml .root.Values.networkPolicy.prometheus | nindent 4 }}
  ports:
    - {port: {{ .port }}, protocol: TCP}
{{- end -}}
