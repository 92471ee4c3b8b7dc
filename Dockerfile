# The image of deploy/: the controller, kustomize, helm and the authorities that everybody trusts, and nothing else.
FROM golang:1.26-alpine AS kustomize
COPY tests/parts/kustomize /src
RUN cd /src && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /kustomize sigs.k8s.io/kustomize/kustomize/v5

FROM golang:1.26-alpine AS helm
COPY tests/parts/helm /src
RUN cd /src && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /helm helm.sh/helm/v4/cmd/helm

FROM rust:1-alpine AS tagboat
RUN apk add --no-cache build-base cmake perl ca-certificates
COPY . /src
RUN cd /src && cargo build --release --locked

FROM scratch
COPY --from=tagboat /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=kustomize /kustomize /usr/bin/kustomize
COPY --from=helm /helm /usr/bin/helm
COPY --from=tagboat /src/target/release/tagboat /usr/bin/tagboat
USER 65532:65532
ENTRYPOINT ["/usr/bin/tagboat"]
CMD ["run"]
