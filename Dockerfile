# docker build -t rollcall .
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -tags kustomize_disable_go_plugin_support -ldflags '-s -w -funcalign=16' -o /rollcall ./cmd/rollcall

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /rollcall /rollcall
ENTRYPOINT ["/rollcall"]
