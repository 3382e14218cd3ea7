{{/* The labels of a pod: without the chart's version, so that a new chart does not restart pods that it does not change. */}}
{{- define "whence.podLabels" -}}
{{ include "whence.selector" . }}
app.kubernetes.io/part-of: whence
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What every pod has: an identity without a token, no privileges, a root file system that is read only. */}}

{{/* The beginning of a pod's spec. (dict "root" $ "account" "front-end") */}}
{{- define "whence.pod" -}}
serviceAccountName: {{ include "whence.fullname" .root }}-{{ .account }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.images.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int .root.Values.runAsUser }}
  runAsGroup: {{ int .root.Values.runAsUser }}
  fsGroup: {{ int .root.Values.runAsUser }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "whence.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods run. (dict "root" $ "component" "worker" "values" .Values.worker "match" (extra labels of the spread)) */}}
{{- define "whence.scheduling" -}}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
topologySpreadConstraints:
{{- if .values.topologySpreadConstraints }}
  {{- toYaml .values.topologySpreadConstraints | nindent 2 }}
{{- else }}
  {{- $pods := . }}
  {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "whence.selector" $pods | nindent 8 }}
        {{- with $pods.match }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Seconds from a pod's end to its being killed: what a drain needs, and 15 more for closing.
     (dict "values" .Values.worker "settings" (dict) "name" "worker") */}}
{{- define "whence.terminationSeconds" -}}
{{- $drain := float64 (get .settings "drain_s" | default 5.0) -}}
{{- if and (hasKey .settings "drain_s") (not (get .settings "drain_s")) }}{{ $drain = 0.0 }}{{ end -}}
{{- $grace := float64 (get .settings "grace_s" | default 30.0) -}}
{{- if and (hasKey .settings "grace_s") (not (get .settings "grace_s")) }}{{ $grace = 0.0 }}{{ end -}}
{{- $needed := add (int .values.preStopSeconds) (ceil (addf $drain $grace)) 15 -}}
{{- $given := int .values.terminationGracePeriodSeconds -}}
{{- if and $given (lt $given (int $needed)) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds is %d, but preStopSeconds, drain_s, grace_s and 15 s for closing take %d: calls would be killed; raise it, or lower drain_s or grace_s" .name $given $needed) -}}
{{- end -}}
{{- $given | default $needed -}}
{{- end -}}

{{/* Probes of a process of ours. The kubelet's gRPC probe speaks no TLS: with TLS, /healthz and /livez are asked.
     (dict "service" "whence.v1.AttributionService" "tls" false "startupSeconds" 60 "startup" "liveness") */}}
{{- define "whence.probes" -}}
startupProbe:
  {{- include "whence.probe" (dict "tls" .tls "service" .startup "port" .port) | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: {{ ceil (divf .startupSeconds 5) }}
readinessProbe:
  {{- include "whence.probe" (dict "tls" .tls "service" .service "port" .port) | nindent 2 }}
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
livenessProbe:
  {{- include "whence.probe" (dict "tls" .tls "service" "liveness" "port" .port) | nindent 2 }}
  periodSeconds: 15
  timeoutSeconds: 10
  failureThreshold: 4
{{- end -}}

{{- define "whence.probe" -}}
{{- if .tls -}}
httpGet: {port: metrics, path: {{ ternary "/livez" "/healthz" (eq .service "liveness") }}}
{{- else -}}
grpc: {port: {{ .port }}, service: {{ .service }}}
{{- end -}}
{{- end -}}

{{/* The ports of a process of ours. (dict "port" 50051 "metrics" 9090) */}}
{{- define "whence.ports" -}}
- {name: grpc, containerPort: {{ .port }}}
- {name: metrics, containerPort: {{ .metrics }}}
{{- end -}}

{{/* A value as text: lists joined, objects as JSON. Helm reads numbers as floats, and would write 1.6777216e+07. */}}
{{- define "whence.text" -}}
{{- if kindIs "slice" . }}{{ join "," . }}
{{- else if kindIs "map" . }}{{ toJson . }}
{{- else if and (kindIs "float64" .) (eq (toString (floor .)) (toString .)) }}{{ printf "%.0f" . }}
{{- else }}{{ . }}
{{- end }}
{{- end -}}

{{/* Variables of the environment as a ConfigMap's data, from settings by name.
     (dict "prefix" "WHENCE_" "settings" (dict)) */}}
{{- define "whence.variables" -}}
{{- range $name, $value := .settings }}
{{ $.prefix }}{{ upper $name }}: {{ include "whence.text" $value | quote }}
{{- end }}
{{- end -}}
