{{/* The models as the templates see them: a model's own values over those that all workers share. */}}

{{/* A model's values over the workers'. (dict "root" $ "model" (an entry of models)) → YAML */}}
{{- define "whence.model" -}}
{{- $worker := deepCopy (omit .root.Values.worker "serviceAccountAnnotations") -}}
{{- $model := mergeOverwrite $worker (deepCopy .model) -}}
{{- $shards := get $model "shards" | default dict -}}
{{- $total := int (get $shards "total") -}}
{{- $per := int (get $shards "perWorker") | default $total | default 1 -}}
{{- $_ := set $model "groups" (int (max 1 (divf $total $per | ceil))) -}}
{{- $_ := set $model "total" $total -}}
{{- $_ := set $model "perWorker" $per -}}
{{- $_ := set $model "gpu" (get $model "gpu" | default dict) -}}
{{- $_ := set $model "key" (list .model.name (get .model "generation" | default "") | compact | join "-") -}}
{{- $engine := get $model "engine" | default "auto" -}}
{{- $_ := set $model "image" (get $model "image" | default (ternary "workerOnnx" "worker" (eq $engine "ort"))) -}}
{{- toYaml $model -}}
{{- end -}}

{{/* A worker's settings, what the chart decides included. (dict "root" $ "model" (whence.model) "group" 0) → YAML */}}
{{- define "whence.workerSettings" -}}
{{- $root := .root -}}
{{- $model := .model -}}
{{- $settings := dict "address" (printf "%s:50061" .root.Values.bindAddress) "metrics_address" (printf "%s:9091" .root.Values.bindAddress) -}}
{{- $_ := set $settings "name" (get $model "servedName" | default $model.name) -}}
{{- range $artefact, $path := $model.artefacts }}
{{- if $path }}{{ $_ := set $settings $artefact (include "whence.path" (dict "root" $root "path" $path)) }}{{ end -}}
{{- end -}}
{{- with get $model "engine" }}{{ $_ := set $settings "engine" . }}{{ end -}}
{{- if get $model.gpu "count" }}{{ $_ := set $settings "device" "cuda" }}{{ end -}}
{{- if $model.total }}
{{- $shards := list -}}
{{- range $index := untilStep (int (mul .group $model.perWorker)) (int (min $model.total (mul (add1 .group) $model.perWorker))) 1 }}
{{- $shards = append $shards (printf "shard-%05d" $index) -}}
{{- end -}}
{{- $_ := set $settings "shards" $shards -}}
{{- end -}}
{{- $access := include "whence.workerAccessSettings" $root | fromYaml -}}
{{- $redis := include "whence.redisSettings" $root | fromYaml -}}
{{- $tracing := include "whence.tracingSettings" $root | fromYaml -}}
{{- mergeOverwrite $settings $access $redis $tracing $model.settings | toYaml -}}
{{- end -}}

{{/* Variables that only the kubelet knows: as many threads as the container has CPUs. (dict "settings" dict "container" "worker") */}}
{{- define "whence.threads" -}}
{{- range $name := list "threads" "search_threads" }}
{{- if not (hasKey $.settings $name) }}
- name: WHENCE_WORKER_{{ upper $name }}
  valueFrom: {resourceFieldRef: {containerName: {{ $.container }}, resource: limits.cpu}}
{{- end }}
{{- end }}
{{- end -}}

{{/* The resources of a container with GPUs. (dict "resources" dict "gpu" dict) */}}
{{- define "whence.resources" -}}
{{- $resources := deepCopy .resources -}}
{{- if get .gpu "count" }}
{{- $limits := merge (dict (get .gpu "resourceName" | default "nvidia.com/gpu") (int .gpu.count)) (get $resources "limits" | default dict) -}}
{{- $_ := set $resources "limits" $limits -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}

{{/* The labels that tell shard groups apart. (dict "model" (whence.model) "group" 0) */}}
{{- define "whence.groupLabels" -}}
whence/model: {{ .model.name | quote }}
{{- with get .model "generation" }}
whence/generation: {{ . | quote }}
{{- end }}
whence/shard-group: {{ .group | quote }}
{{- end -}}

{{/* Where traces are sent, as settings of front ends and workers. → YAML */}}
{{- define "whence.tracingSettings" -}}
{{- with .Values.tracing.endpoint }}
otlp_endpoint: {{ . | quote }}
{{- end }}
{{- if not (kindIs "invalid" .Values.tracing.sampling) }}
trace_sampling: {{ .Values.tracing.sampling }}
{{- end }}
{{- end -}}
