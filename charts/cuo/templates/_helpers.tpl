{{/* Objects of a file below files/, in the namespace of the release. Each says `cuo-system` only where it means that namespace. */}}
{{- define "cuo.objects" -}}
{{- .root.Files.Get (printf "files/%s.yaml" .name) | replace "cuo-system" .root.Release.Namespace -}}
{{- end }}

{{/* The same with annotations. As text, so that the objects stay what they are: parsed and printed, large numbers would not. */}}
{{- define "cuo.annotated" -}}
{{- $annotations := printf "\nmetadata:\n  annotations:\n%s\n" (toYaml .annotations | indent 4) -}}
{{- include "cuo.objects" . | replace "\nmetadata:\n" $annotations -}}
{{- end }}

{{- define "cuo.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A JSON list of the flags that have a value. A whole number is one even where the values were read as JSON. */}}
{{- define "cuo.flags" -}}
{{- $flags := list -}}
{{- range $key, $value := .Values.flags -}}
{{- $flag := printf "--%s" (kebabcase $key) -}}
{{- if kindIs "slice" $value -}}
{{- range $value -}}
{{- $flags = append $flags (printf "%s=%s" $flag .) -}}
{{- end -}}
{{- else if kindIs "bool" $value -}}
{{- if $value -}}
{{- $flags = append $flags $flag -}}
{{- end -}}
{{- else if kindIs "string" $value -}}
{{- if $value -}}
{{- $flags = append $flags (printf "%s=%s" $flag $value) -}}
{{- end -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $flags = append $flags (printf "%s=%d" $flag (int64 $value)) -}}
{{- end -}}
{{- end -}}
{{- toJson $flags -}}
{{- end }}
