{{- define "sentinel-operator.name" -}}
{{- if contains "sentinel-operator" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-sentinel-operator" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end -}}
{{- end -}}

{{- define "sentinel-operator.serviceAccount" -}}
{{- default (include "sentinel-operator.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "sentinel-operator.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end -}}
{{- end -}}

{{- define "sentinel-operator.selector" -}}
app.kubernetes.io/name: sentinel-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "sentinel-operator.labels" -}}
{{ include "sentinel-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* Labels that somebody wants beside those of all objects. They replace none of these, by which Services find pods. */}}
{{- define "sentinel-operator.labelsAnd" -}}
{{- include "sentinel-operator.texts" (merge (include "sentinel-operator.labels" .root | fromYaml) (default dict .more)) -}}
{{- end -}}

{{/* Kubernetes takes texts only for labels, annotations and what selects nodes. */}}
{{- define "sentinel-operator.texts" -}}
{{- $lines := list -}}
{{- range $key, $value := . }}{{ $lines = append $lines (printf "%s: %s" ($key | quote) ($value | quote)) }}{{ end -}}
{{- join "\n" $lines -}}
{{- end -}}
