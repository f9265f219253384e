FROM golang:1.26 AS build
WORKDIR /src
COPY . .
# Version and commit that the binary reports.
ARG VERSION=dev
ARG COMMIT=unknown
# Static, since the final image has no C library. The cache mounts keep downloads and
# compiled packages between builds.
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false \
      -ldflags "-s -w -X main.version=${VERSION} -X main.commit=${COMMIT}" -o /roomspa ./cmd/roomspa

# Contains CA certificates and time zones, but no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /roomspa /roomspa
# Numeric, since Kubernetes cannot verify runAsNonRoot for a user name.
USER 65532:65532
# 8000 is for clients. 9090 (probes, metrics, profiles) must not be exposed.
EXPOSE 8000 9090
ENTRYPOINT ["/roomspa"]
CMD ["serve"]
