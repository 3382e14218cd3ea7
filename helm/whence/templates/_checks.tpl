{{/* What the schema cannot say: values that must be given together. */}}
{{- define "whence.checks" -}}
{{- if eq .Values.auth.insecure (ne .Values.auth.keys.existingSecret "") -}}
{{- fail "who may call? Give auth.keys.existingSecret, a Secret with the file of API keys, or set auth.insecure to true to let anyone call who reaches the port; not both" -}}
{{- end -}}
{{- if not (or .Values.auth.insecure .Values.networkPolicy.enabled .Values.embedded) -}}
{{- fail "without network policies anyone in the cluster reaches the workers, whose port asks nobody who calls: set networkPolicy.enabled, or auth.insecure where the network itself is trusted" -}}
{{- end -}}
{{- if and (not .Values.models) (or .Values.embedded (not .Values.jobs)) -}}
{{- fail "models is empty: name a model with its artefacts, or jobs that make them" -}}
{{- end -}}
{{- if and .Values.embedded (ne (len .Values.models) 1) -}}
{{- fail (printf "embedded serves one model, and models has %d: leave one, or set embedded to false" (len .Values.models)) -}}
{{- end -}}
{{- if and .Values.embedded (get (first .Values.models) "shards") -}}
{{- fail "embedded serves a whole corpus: leave out the model's shards, or set embedded to false" -}}
{{- end -}}
{{- $keys := list -}}
{{- range .Values.models -}}
{{- $model := include "whence.model" (dict "root" $ "model" .) | fromYaml -}}
{{- if has $model.key $keys -}}
{{- fail (printf "models has two entries called %s: give each its generation" $model.key) -}}
{{- end -}}
{{- $keys = append $keys $model.key -}}
{{- $longest := printf "%s-%s-%d" (include "whence.fullname" $) $model.key (int (sub $model.groups 1)) -}}
{{- if gt (len $longest) 52 -}}
{{- fail (printf "the name %s is too long for a StatefulSet (%d of 52 characters): shorten fullnameOverride, the model's name or its generation" $longest (len $longest)) -}}
{{- end -}}
{{- if and $model.autoscaling.enabled (not $model.autoscaling.prometheusAddress) -}}
{{- fail "worker.autoscaling reads the queue's depth from Prometheus: give worker.autoscaling.prometheusAddress" -}}
{{- end -}}
{{- end -}}
{{- $sources := list (include "whence.claim" .) (toString .Values.artefacts.download.source) (.Values.artefacts.volume | empty | ternary "" "volume") | compact -}}
{{- if ne (len $sources) 1 -}}
{{- fail (printf "artefacts come from one of claim, download and volume, and %d are given" (len $sources)) -}}
{{- end -}}
{{- if and .Values.jobs .Values.artefacts.download.source -}}
{{- fail "jobs write artefacts, and a copy of artefacts.download is lost with its pod: give artefacts.claim or artefacts.volume" -}}
{{- end -}}
{{- if and (eq .Values.redis.mode "external") (not .Values.redis.external.url) -}}
{{- fail "redis.external.url is empty: give redis://host:port/0 or rediss://host:port/0" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host is empty: an Ingress for gRPC needs a host name" -}}
{{- end -}}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) -}}
{{- fail "grpcRoute.parentRefs is empty: name the Gateway to attach to" -}}
{{- end -}}
{{- end -}}
