{{- define "evoscale.labels" -}}
app.kubernetes.io/name: evoscale
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "evoscale.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "evoscale.sandboxImage" -}}
{{ .Values.sandboxWorker.image | default (printf "%s-sandbox" (include "evoscale.image" .)) }}
{{- end }}

{{- define "evoscale.modelUrl" -}}
{{ .Values.model.url | default (printf "http://%s-vllm:8000/v1" .Release.Name) }}
{{- end }}

{{- define "evoscale.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "evoscale.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "evoscale.sharedEnv" -}}
{{- $side := .side -}}
{{- with .root }}
- name: EVOSCALE_{{ $side }}_DATABASE_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.database.existingSecret | default (printf "%s-shared" .Release.Name) }}, key: database_url}}
- name: EVOSCALE_{{ $side }}_BROKER_URL
  valueFrom: {secretKeyRef: {name: {{ .Values.broker.existingSecret | default (printf "%s-shared" .Release.Name) }}, key: broker_url}}
- {name: EVOSCALE_{{ $side }}_SNAPSHOT_DIR, value: /snapshots}
- {name: EVOSCALE_{{ $side }}_LOG_STYLE, value: json}
{{- end }}
{{- end }}

{{- define "evoscale.webEnv" -}}
{{ include "evoscale.sharedEnv" (dict "root" . "side" "BOT") }}
- {name: EVOSCALE_BOT_WEBHOOK_SECRET_FILE, value: /secrets/webhook_secret}
{{- end }}

{{- define "evoscale.botEnv" -}}
- {name: EVOSCALE_BOT_APP_ID, value: {{ .Values.github.appId | quote }}}
- {name: EVOSCALE_BOT_PRIVATE_KEY_FILE, value: /secrets/private_key}
- {name: EVOSCALE_BOT_GITHUB_API_URL, value: {{ .Values.github.apiUrl | quote }}}
- {name: EVOSCALE_BOT_LABEL, value: {{ .Values.label | quote }}}
- {name: EVOSCALE_BOT_PUBLIC_URL, value: {{ .Values.publicUrl | quote }}}
{{- end }}

{{- define "evoscale.modelEnv" -}}
- {name: EVOSCALE_ENGINE_MODEL, value: {{ .Values.model.backend | quote }}}
- {name: EVOSCALE_ENGINE_MODEL_NAME, value: {{ .Values.model.name | quote }}}
- {name: EVOSCALE_ENGINE_MODEL_URL, value: {{ include "evoscale.modelUrl" . | quote }}}
- {name: EVOSCALE_ENGINE_MODEL_EVOLVES, value: {{ .Values.model.evolves | quote }}}
- {name: EVOSCALE_ENGINE_MODEL_CONTEXT_TOKENS, value: {{ .Values.model.contextTokens | quote }}}
- {name: EVOSCALE_ENGINE_SELECTION, value: {{ .Values.model.selection | quote }}}
{{- end }}
