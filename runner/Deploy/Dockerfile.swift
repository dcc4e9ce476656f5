/// How the one image is made that serves every function: what it hosts follows from its arguments.
package enum Dockerfile {
    /// The user's and group's number in the container.
    package static let user = 10001

    /// - Parameters:
    ///   - builder: the image with Swift that compiles.
    ///   - base: the image that the result is made on, of the same Debian.
    ///   - isPrebuilt: whether the executable `runner` lies in the context already; else it is compiled from the sources.
    /// - Returns: the text of the Dockerfile.
    package static func text(builder: String, base: String, isPrebuilt: Bool) -> String {
        let compiled = """
            ARG BUILDER_IMAGE=\(builder)
            FROM ${BUILDER_IMAGE} AS build
            RUN apt-get update \\
             && apt-get install -y --no-install-recommends pkg-config libpq-dev libhiredis-dev libssl-dev \\
             && rm -rf /var/lib/apt/lists/*
            WORKDIR /source
            COPY Package.swift ./
            COPY Sources Sources
            COPY runner runner
            COPY Tests Tests
            RUN swift build -c release --static-swift-stdlib --product runner \\
             && strip -o /runner "$(swift build -c release --show-bin-path)/runner"


            """
        let origin = isPrebuilt ? "COPY" : "COPY --from=build"
        return """
            # Made by `runner image`. Its context holds functions.yaml, .runner/swagger-ui and \(isPrebuilt ? "the executable" : "the sources").
            ARG BASE_IMAGE=\(base)
            \(isPrebuilt ? "" : compiled)FROM ${BASE_IMAGE}
            RUN apt-get update \\
             && apt-get install -y --no-install-recommends ca-certificates libhiredis0.14 libpq5 libssl3 tzdata \\
             && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \\
             && groupadd --gid \(user) runner \\
             && useradd --uid \(user) --gid \(user) --no-create-home --home-dir /app --shell /usr/sbin/nologin runner \\
             && install -d -o runner -g runner /shared
            WORKDIR /app
            COPY functions.yaml ./
            COPY .runner/swagger-ui .runner/swagger-ui
            \(origin) \(isPrebuilt ? "" : "/")runner /usr/local/bin/runner
            ENV RUNNER_CONTAINER=1
            USER \(user):\(user)
            EXPOSE 3000
            HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["runner", "health"]
            ENTRYPOINT ["runner"]
            CMD ["serve", "--all"]

            """
    }
}
