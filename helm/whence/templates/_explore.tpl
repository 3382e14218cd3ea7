{{/* The names by which the page is reached: its Service's, and those that are given. */}}
{{- define "whence.exploreHosts" -}}
{{- $service := printf "%s-explore" (include "whence.fullname" .) -}}
{{- $domain := printf "%s.%s" $service .Release.Namespace -}}
{{- concat (list $service $domain (printf "%s.svc" $domain) (printf "%s.svc.cluster.local" $domain)) .Values.explore.hosts | join "," -}}
{{- end -}}
