{{/* What Helm prints after an installation. */}}
{{- define "whence.notes" -}}
{{- $name := include "whence.fullname" . -}}
{{- $port := int .Values.frontEnd.service.port -}}
Whence {{ .Chart.AppVersion }} is being installed as {{ .Release.Name }} in {{ .Release.Namespace }}.

Wait until it answers; a worker first checks and loads its artefacts:

  kubectl -n {{ .Release.Namespace }} rollout status deployment/{{ $name }}-front-end
{{- if not .Values.embedded }}
{{- range .Values.models }}
{{- $model := include "whence.model" (dict "root" $ "model" .) | fromYaml }}
{{- range $group := until (int $model.groups) }}
  kubectl -n {{ $.Release.Namespace }} rollout status statefulset/{{ $name }}-{{ $model.key }}-{{ $group }}
{{- end }}
{{- end }}
{{- end }}
{{- if .Values.tests.enabled }}
  helm -n {{ .Release.Namespace }} test {{ .Release.Name }}
{{- end }}

Ask it, from here:

  kubectl -n {{ .Release.Namespace }} port-forward service/{{ $name }}-front-end 50051:{{ $port }}
  whence models --server localhost:50051
  whence attribute --server localhost:50051 --prompt "The capital of Myrrenland is" --completion " Marrford"

or from a pod: {{ $name }}-front-end.{{ .Release.Namespace }}.svc:{{ $port }}
{{- if .Values.explore.enabled }}
or look at http://localhost:8090/ with a key of yours, after
  kubectl -n {{ .Release.Namespace }} port-forward service/{{ $name }}-explore 8090:{{ int .Values.explore.service.port }}
{{- end }}
{{- if .Values.ingress.enabled }}
or from outside: {{ .Values.ingress.host }}:443
{{- end }}

Good to know:
{{- if .Values.auth.insecure }}
- Anyone who reaches the port may ask for training texts (auth.insecure).
{{- end }}
{{- if .Values.networkPolicy.enabled }}
- The network policies need a network plugin that enforces them, and let in no Ingress controller or gateway that
  networkPolicy.clients does not name.
{{- else }}
- No network policies (networkPolicy.enabled): who reaches a worker's port reads its corpus.
{{- end }}
{{- if not .Values.models }}
- No model is served yet: once the jobs are done, name in models what they made.
{{- end }}
{{- range .Values.models }}
{{- $model := include "whence.model" (dict "root" $ "model" .) | fromYaml }}
{{- if and (not $.Values.embedded) (not $model.autoscaling.enabled) (lt (int (get $model "replicas" | default 1)) 2) }}
- {{ $model.key }} has one pod for each shard: while it is replaced, the model is not served. Set replicas to 2.
{{- end }}
{{- if not $model.artefacts.index }}
- {{ $model.key }} has no index: every query scans the whole corpus. A job with command index makes one.
{{- end }}
{{- end }}
{{- range .Values.jobs }}
- Job {{ .name }}: kubectl -n {{ $.Release.Namespace }} logs -f -l whence/job={{ .name }}
{{- end }}
{{- end -}}
