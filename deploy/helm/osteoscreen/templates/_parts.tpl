{{- define "osteoscreen.image" -}}
{{- $image := .root.Values.image -}}
{{ $image.repository }}-{{ .target }}{{ with get $image.digests .target }}@{{ . }}{{ else }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{- define "osteoscreen.labels" -}}
app.kubernetes.io/name: osteoscreen
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- /* service: whose database user; secrets: further keys; tls: whether it has the certificate. */}}
{{- define "osteoscreen.pod" -}}
{{- $values := .root.Values -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  # The group owns the spool; its files are not checked at each start.
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
volumes:
  - name: tmp
    emptyDir: {}
  - name: secrets
    projected:
      defaultMode: 0440
      sources:
        - secret:
            name: {{ $values.existingSecret }}
            items:
              {{- if and .service $values.databaseRoles }}
              - {key: database_url_{{ .service }}, path: database_url}
              {{- else }}
              - {key: database_url, path: database_url}
              {{- end }}
              {{- range .secrets }}
              - {key: {{ . }}, path: {{ . }}}
              {{- end }}
        {{- with $values.serversCaSecret }}
        - secret: {name: {{ . }}, items: [{key: ca.crt, path: servers_ca}]}
        {{- end }}
        {{- if and $values.tlsSecret (or .tls (hasKey $values.settings "TLS_CERT")) }}
        - secret: {name: {{ $values.tlsSecret }}}
        {{- end }}
  - name: spool
    persistentVolumeClaim:
      claimName: {{ $values.spool.existingClaim | default (printf "%s-spool" .root.Release.Name) }}
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
