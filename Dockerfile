# The daemon on Node.js 24: no compiler, no package manager run and no root at run time. Native packages carry prebuilt
# binaries (RocksDB for x64; LevelDB takes over by itself on arm64), so the image builds wherever Node's own does.

FROM node:24-slim AS compiled
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY tsconfig.json tsconfig.build.json ./
COPY types types
COPY gen gen
COPY src src
RUN node_modules/.bin/tsc -p tsconfig.build.json

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev

FROM node:24-slim
WORKDIR /app
# As everywhere, the default address is loopback; docker-compose.yml shows how to publish a port knowingly.
ENV NODE_ENV=production \
    GOCLAW_DATA=/data \
    GOCLAW_LISTEN=127.0.0.1:7420
COPY package.json LICENSE ./
COPY bin bin
COPY --from=dependencies /app/node_modules node_modules
COPY --from=compiled /app/dist dist
RUN install -d -o node -g node -m 0700 /data
USER node
VOLUME /data
EXPOSE 7420
# Loopback answers whether GOCLAW_LISTEN names it or all addresses; only the port can differ.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + process.env.GOCLAW_LISTEN.split(':').pop() + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["/app/bin/goclaw"]
CMD ["serve"]
