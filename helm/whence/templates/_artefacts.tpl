{{/* Models, factors, corpora, indexes and certificates: the volume that they are in, and the paths within it. */}}

{{/* A path as a process sees it. (dict "root" $ "path" "demo/factors") */}}
{{- define "whence.path" -}}
{{- if hasPrefix "/" .path }}{{ .path }}{{ else }}{{ printf "%s/%s" .root.Values.artefacts.mountPath .path }}{{ end -}}
{{- end -}}

{{/* The name of the claim; empty if there is none. */}}
{{- define "whence.claim" -}}
{{- with .Values.artefacts.claim -}}
{{- if .existing }}{{ .existing }}{{ else if .create }}{{ include "whence.fullname" $ }}-artefacts{{ end -}}
{{- end -}}
{{- end -}}

{{/* The volume of artefacts. (dict "root" $ "writes" false) */}}
{{- define "whence.artefactsVolume" -}}
{{- $artefacts := .root.Values.artefacts -}}
{{- $claim := include "whence.claim" .root -}}
name: artefacts
{{- if $claim }}
persistentVolumeClaim: {claimName: {{ $claim | quote }}, readOnly: {{ not .writes }}}
{{- else if $artefacts.volume }}
{{ toYaml $artefacts.volume }}
{{- else if $artefacts.download.storageClassName }}
ephemeral:
  volumeClaimTemplate:
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: {{ $artefacts.download.storageClassName | quote }}
      resources: {requests: {storage: {{ $artefacts.download.size | quote }}}}
{{- else }}
emptyDir: {sizeLimit: {{ $artefacts.download.size | quote }}}
{{- end }}
{{- end -}}

{{- define "whence.artefactsMount" -}}
{name: artefacts, mountPath: {{ .root.Values.artefacts.mountPath | quote }}, readOnly: {{ not .writes }}}
{{- end -}}

{{/* The init container that copies what a model needs. (dict "root" $ "paths" (list "demo/model" …)) */}}
{{- define "whence.download" -}}
{{- $download := .root.Values.artefacts.download -}}
- name: download
  image: {{ include "whence.image" (dict "root" .root "role" "download") }}
  imagePullPolicy: {{ .root.Values.images.pullPolicy }}
  args:
    - copy
    - {{ $download.source | quote }}
    - {{ .root.Values.artefacts.mountPath | quote }}
    {{- range .paths }}
    {{- $path := trimSuffix "/" . }}
    - --include=/{{ $path }}
    - --include=/{{ $path }}/**
    {{- end }}
    - --checksum
    - --config=/tmp/rclone.conf
    - --stats-one-line
    - --stats=1m
    - --log-level=INFO
  {{- if or $download.existingSecret $download.existingConfigMap }}
  envFrom:
    {{- with $download.existingConfigMap }}
    - configMapRef: {name: {{ . | quote }}}
    {{- end }}
    {{- with $download.existingSecret }}
    - secretRef: {name: {{ . | quote }}}
    {{- end }}
  {{- end }}
  resources:
    requests: {cpu: 250m, memory: 256Mi}
    limits: {memory: 1Gi}
  {{- include "whence.container" .root | nindent 2 }}
  volumeMounts:
    - {name: artefacts, mountPath: {{ .root.Values.artefacts.mountPath | quote }}}
    - {name: temporary, mountPath: /tmp}
{{- end -}}
