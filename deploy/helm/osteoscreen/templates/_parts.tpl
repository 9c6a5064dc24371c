{{- define "osteoscreen.image" -}}
{{ .root.Values.image.repository }}-{{ .target }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}
{{- end }}

{{- define "osteoscreen.labels" -}}
app.kubernetes.io/name: osteoscreen
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "osteoscreen.pod" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  # The group owns the spool; its files are not checked at each start.
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
automountServiceAccountToken: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        - secret: {name: {{ .Values.existingSecret }}}
        {{- with .Values.tlsSecret }}
        - secret: {name: {{ . }}}
        {{- end }}
  - name: spool
    persistentVolumeClaim:
      claimName: {{ .Values.spool.existingClaim | default (printf "%s-spool" .Release.Name) }}
{{- end }}

{{- define "osteoscreen.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
envFrom:
  - configMapRef: {name: {{ .Release.Name }}-settings}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: secrets, mountPath: /run/secrets, readOnly: true}
  - {name: spool, mountPath: /var/lib/osteoscreen/spool}
{{- end }}

{{- define "osteoscreen.tls" -}}
- {name: OSTEOSCREEN_TLS_CERT, value: /run/secrets/tls.crt}
- {name: OSTEOSCREEN_TLS_KEY, value: /run/secrets/tls.key}
{{- end }}

{{- define "osteoscreen.probes" -}}
# Loading the model and waiting for the database may take minutes.
startupProbe:
  httpGet: {path: /health/live, port: health}
  periodSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health/live, port: health}
  periodSeconds: 30
  timeoutSeconds: 10
readinessProbe:
  httpGet: {path: /health/ready, port: health}
  periodSeconds: 15
  timeoutSeconds: 10
{{- end }}
