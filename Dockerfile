# docker build --build-arg VERSION=v1.2.3 --build-arg COMMIT="$(git rev-parse HEAD)" -t rollcall .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
ARG COMMIT
# With both given, and the same Go, this is the program of .ci/release.
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -pgo=.ci/rollout.pgo -tags kustomize_disable_go_plugin_support,grpcnotrace \
	-ldflags "-s -w -funcalign=8 -buildid= -X 'main.buildVersion=$VERSION' -X 'main.buildCommit=$COMMIT'" -o /rollcall ./cmd/rollcall

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /rollcall /rollcall
ENTRYPOINT ["/rollcall"]
