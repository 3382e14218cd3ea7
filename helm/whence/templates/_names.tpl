{{/* Names and labels. */}}

{{- define "whence.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 24 | trimSuffix "-" -}}
{{- end -}}

{{/* The prefix of every name: short, so that a worker's pod name still fits into a label. */}}
{{- define "whence.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 24 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 24 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels by which the pods of a component are found. (dict "root" $ "component" "worker") */}}
{{- define "whence.selector" -}}
app.kubernetes.io/name: {{ include "whence.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels of an object or pod of a component. */}}
{{- define "whence.labels" -}}
{{ include "whence.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: whence
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object. (dict "root" $ "component" "worker" "name" "whence-worker" "annotations" dict) */}}
{{- define "whence.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace | quote }}
labels:
  {{- include "whence.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The image of a role. (dict "root" $ "role" "frontEnd") */}}
{{- define "whence.image" -}}
{{- $image := index .root.Values.images .role -}}
{{- $registry := .root.Values.images.registry -}}
{{- $owned := has .role (list "frontEnd" "worker" "workerOnnx" "jobs") -}}
{{- $repository := ternary (printf "%s/%s" $registry $image.repository) $image.repository (and $owned (ne $registry "")) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .root.Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}
