{{/* The pod of a job: one command of `whence`, its arguments from values. */}}

{{/* An option and its value, as items of a list; a flag has none. (list "max-tokens" 512) */}}
{{- define "whence.option" -}}
{{- $value := index . 1 -}}
- --{{ index . 0 }}
{{- if not (kindIs "bool" $value) }}
- {{ include "whence.text" $value | quote }}
{{- end }}
{{- end -}}

{{/* (dict "root" $ "job" (an entry of jobs)) */}}
{{- define "whence.jobPod" -}}
{{- $root := .root -}}
{{- $job := .job -}}
{{- $pods := dict "root" $root "component" "jobs" -}}
{{- $gpu := get $job "gpu" | default dict -}}
{{- $resources := get $job "resources" | default $root.Values.worker.resources -}}
metadata:
  labels:
    {{- include "whence.podLabels" $pods | nindent 4 }}
    whence/job: {{ $job.name }}
spec:
  {{- include "whence.pod" (dict "root" $root "account" "jobs") | nindent 2 }}
  restartPolicy: Never
  {{- with get $gpu "runtimeClassName" }}
  runtimeClassName: {{ . | quote }}
  {{- end }}
  {{- with get $job "nodeSelector" }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with get $job "tolerations" }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with get $job "waitFor" }}
  initContainers:
    # What this job reads may be another job's to make: a manifest is the last file of an artefact.
    - name: wait
      image: {{ include "whence.image" (dict "root" $root "role" "jobs") }}
      imagePullPolicy: {{ $root.Values.images.pullPolicy }}
      command: [python3, -c]
      args:
        - |
          import pathlib, sys, time
          while missing := [path for path in sys.argv[1:] if not pathlib.Path(path, "manifest.json").exists()]:
              print("waiting for", *missing, flush=True)
              time.sleep(15)
        {{- range . }}
        - {{ include "whence.path" (dict "root" $root "path" .) | quote }}
        {{- end }}
      resources:
        requests: {cpu: 50m, memory: 64Mi}
        limits: {memory: 128Mi}
      {{- include "whence.container" $root | nindent 6 }}
      volumeMounts:
        - {{ include "whence.artefactsMount" (dict "root" $root "writes" true) }}
  {{- end }}
  containers:
    - name: {{ $job.command }}
      image: {{ include "whence.image" (dict "root" $root "role" "jobs") }}
      imagePullPolicy: {{ $root.Values.images.pullPolicy }}
      command: [whence]
      args:
        - {{ $job.command }}
        {{- range $job.inputs }}
        - {{ include "whence.path" (dict "root" $root "path" .) | quote }}
        {{- end }}
        {{- range $name, $path := $job.artefacts }}
        - --{{ $name }}
        - {{ include "whence.path" (dict "root" $root "path" $path) | quote }}
        {{- end }}
        {{- range $name, $value := $job.options }}
        {{- include "whence.option" (list $name $value) | nindent 8 }}
        {{- end }}
      env:
        - {name: HOME, value: /tmp}
        {{- if eq $job.command "index" }}
        # As torchrun sets them.
        - name: RANK
          valueFrom: {fieldRef: {fieldPath: "metadata.annotations['batch.kubernetes.io/job-completion-index']"}}
        - {name: WORLD_SIZE, value: {{ get $job "ranks" | default 1 | int | quote }}}
        {{- end }}
      resources:
        {{- include "whence.resources" (dict "resources" $resources "gpu" $gpu) | nindent 8 }}
      {{- include "whence.container" $root | nindent 6 }}
      volumeMounts:
        - {name: temporary, mountPath: /tmp}
        - {{ include "whence.artefactsMount" (dict "root" $root "writes" true) }}
  volumes:
    - name: temporary
      emptyDir: {sizeLimit: {{ $root.Values.worker.temporarySize | quote }}}
    - {{ include "whence.artefactsVolume" (dict "root" $root "writes" true) | nindent 6 | trim }}
{{- end -}}
