# syntax=docker/dockerfile:1
# docker build -t kollect-apiserver:dev .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
ENV GOCACHE=/cache/go-build
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY cmd cmd
COPY pkg pkg
ARG TARGETOS TARGETARCH
ARG VERSION=v0.0.0-dev
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath \
    -ldflags="-s -w -X k8s.io/component-base/version.gitVersion=$VERSION" \
    -o / ./cmd/kollect-apiserver ./cmd/kollect

FROM gcr.io/distroless/static:nonroot
COPY --from=build /kollect-apiserver /kollect /
USER 65532:65532
ENTRYPOINT ["/kollect-apiserver"]
