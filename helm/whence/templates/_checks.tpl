{{/* What the schema cannot say: values that must be given together. */}}
{{- define "whence.checks" -}}
{{- $certificates := and .Values.tls.clients.requireCertificates .Values.auth.policy.existingConfigMap -}}
{{- $asks := or .Values.auth.keys.existingSecret .Values.auth.oidc.issuer $certificates | empty | not -}}
{{- if eq .Values.auth.insecure $asks -}}
{{- fail "who may call? Give auth.keys.existingSecret (a Secret with the file of API keys), auth.oidc, or auth.policy with tls.clients.requireCertificates; or set auth.insecure to true to let anyone call who reaches the port; not both" -}}
{{- end -}}
{{- if ne (empty .Values.auth.oidc.issuer) (empty .Values.auth.oidc.audience) -}}
{{- fail "auth.oidc.issuer and auth.oidc.audience belong together: tokens for another audience must not be taken" -}}
{{- end -}}
{{- if and .Values.tls.clients.requireCertificates (not .Values.tls.clients.enabled) -}}
{{- fail "tls.clients.requireCertificates needs tls.clients.enabled" -}}
{{- end -}}
{{- if and .Values.tls.clients.enabled (not (include "whence.frontEndSecret" .)) -}}
{{- fail "tls.clients has no certificate: give tls.clients.existingSecret, or set certificates.enabled for one of cert-manager" -}}
{{- end -}}
{{- if and (include "whence.workersServeTls" .) (not (and (include "whence.workerServerSecret" .) (include "whence.workerClientSecret" .))) -}}
{{- fail "tls.workers has no certificates: give tls.workers.serverSecret and tls.workers.clientSecret, or set certificates.enabled for those of cert-manager" -}}
{{- end -}}
{{- if and .Values.certificates.enabled (or (not .Values.certificates.issuerRef.name) (and (include "whence.workersServeTls" .) (not .Values.certificates.workersIssuerRef.name))) -}}
{{- fail "certificates.issuerRef.name or certificates.workersIssuerRef.name is empty: name the Issuers of cert-manager" -}}
{{- end -}}
{{- if not (or .Values.auth.insecure .Values.networkPolicy.enabled .Values.embedded (include "whence.workersServeTls" .)) -}}
{{- fail "without network policies anyone in the cluster reaches the workers, whose port asks nobody who calls: set networkPolicy.enabled, tls.workers.enabled, or auth.insecure where the network itself is trusted" -}}
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
{{- if gt (int $model.autoscaling.minReplicas) (int $model.autoscaling.maxReplicas) -}}
{{- fail (printf "autoscaling.minReplicas of model %s is %d, more than maxReplicas, %d" $model.name (int $model.autoscaling.minReplicas) (int $model.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- if and $model.autoscaling.enabled (not $model.autoscaling.prometheusAddress) -}}
{{- fail "worker.autoscaling reads the queue's depth from Prometheus: give worker.autoscaling.prometheusAddress" -}}
{{- end -}}
{{- end -}}
{{- $scaled := .Values.frontEnd.autoscaling -}}
{{- if and $scaled.enabled (not (dig "requests" "cpu" "" .Values.frontEnd.resources)) -}}
{{- fail "frontEnd.autoscaling aims at a share of the CPU request: give frontEnd.resources.requests.cpu" -}}
{{- end -}}
{{- if gt (int $scaled.minReplicas) (int $scaled.maxReplicas) -}}
{{- fail (printf "frontEnd.autoscaling.minReplicas is %d, more than maxReplicas, %d" (int $scaled.minReplicas) (int $scaled.maxReplicas)) -}}
{{- end -}}
{{- $sources := list (include "whence.claim" .) (toString .Values.artefacts.download.source) (.Values.artefacts.volume | empty | ternary "" "volume") | compact -}}
{{- if ne (len $sources) 1 -}}
{{- fail (printf "artefacts come from one of claim, download and volume, and %d are given" (len $sources)) -}}
{{- end -}}
{{- if and .Values.jobs .Values.artefacts.download.source -}}
{{- fail "jobs write artefacts, and a copy of artefacts.download is lost with its pod: give artefacts.claim or artefacts.volume" -}}
{{- end -}}
{{- if and (eq .Values.redis.mode "bundled") (eq .Values.redis.bundled.password (empty .Values.redis.existingSecret)) -}}
{{- fail "redis.existingSecret names the Secret with the password: give it, or set redis.bundled.password to false, so that the network policy alone keeps others out; not both" -}}
{{- end -}}
{{- if and (include "whence.countsTogether" .) (eq .Values.redis.mode "none") -}}
{{- fail "quotas.countTogether needs a Redis to count in: set redis.mode to bundled or external, or countTogether to false, so that each front end grants its share" -}}
{{- end -}}
{{- if and (eq .Values.redis.mode "external") (not .Values.redis.external.url) -}}
{{- fail "redis.external.url is empty: give redis://host:port/0 or rediss://host:port/0" -}}
{{- end -}}
{{- if and .Values.explore.enabled .Values.tls.clients.requireCertificates -}}
{{- fail "explore has no certificate to show: whoever came to the page would call as the page; set tls.clients.requireCertificates to false, or explore.enabled, and run `whence explore` where its user is" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host is empty: an Ingress for gRPC needs a host name" -}}
{{- end -}}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) -}}
{{- fail "grpcRoute.parentRefs is empty: name the Gateway to attach to" -}}
{{- end -}}
{{- with .Values.networkPolicy }}
{{- if .enabled }}
{{- $shut := list -}}
{{- if and $.Values.artefacts.download.source (not .storeEgress) }}{{ $shut = append $shut "the object store of artefacts.download (storeEgress)" }}{{ end -}}
{{- if and (eq $.Values.redis.mode "external") (not .workerEgress) }}{{ $shut = append $shut "the external Redis (workerEgress)" }}{{ end -}}
{{- if and (eq $.Values.redis.mode "external") (include "whence.countsTogether" $) (not .frontEndEgress) }}{{ $shut = append $shut "the external Redis (frontEndEgress)" }}{{ end -}}
{{- if and $.Values.auth.oidc.issuer (not (hasPrefix "/" $.Values.auth.oidc.jwks)) (not .frontEndEgress) }}{{ $shut = append $shut "the issuer of auth.oidc (frontEndEgress)" }}{{ end -}}
{{- if and $.Values.tracing.endpoint (not .frontEndEgress) }}{{ $shut = append $shut "the collector of tracing.endpoint (frontEndEgress)" }}{{ end -}}
{{- if and $.Values.tracing.endpoint (not .workerEgress) (not $.Values.embedded) }}{{ $shut = append $shut "the collector of tracing.endpoint (workerEgress)" }}{{ end -}}
{{- if $shut -}}
{{- fail (printf "the network policies let nothing through to %s: add rules of egress to networkPolicy, or set networkPolicy.enabled to false" (join ", " $shut)) -}}
{{- end -}}
{{- end }}
{{- end }}
{{- end -}}
