FROM golang:1.26 AS build
WORKDIR /src
COPY . .
# Which release the binary says it is.
ARG VERSION=dev
# Static, because the last stage has no C library. The caches are the builder's,
# not the image's, so a changed line compiles one package and downloads nothing.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=${VERSION}" -o /roomspa ./cmd/roomspa

# CA certificates, time zones and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /roomspa /roomspa
# By number: Kubernetes cannot tell from a name that it is not root (runAsNonRoot).
USER 65532:65532
# 8000 is for clients; 9090 (probes, metrics, debug) is never put behind an ingress.
EXPOSE 8000 9090
ENTRYPOINT ["/roomspa"]
CMD ["serve"]
