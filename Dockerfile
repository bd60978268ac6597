# Two images from one build:
#   docker build -t sallyport-controller .
#   docker build -t azure-sim --target azure-sim .
FROM debian:bookworm-slim AS build
WORKDIR /src
# The list of dependencies alone, so that a change of the code does not install them again.
COPY tests/tools/deps.sh tests/tools/deps.sh
RUN tests/tools/deps.sh build && rm -rf /var/lib/apt/lists/*
COPY . .
RUN cmake --preset release -DSALLYPORT_TESTS=OFF -DCMAKE_EXE_LINKER_FLAGS=-s \
 && cmake --build build --target sallyport-controller azure-sim

# What both programs load at run time, and a user that owns nothing.
FROM debian:bookworm-slim AS runtime
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        ca-certificates libcpprest2.10 libfmt9 libjemalloc2 libre2-9 libspdlog1.10 libsqlite3-0 libssl3 \
        libyaml-cpp0.7 \
 && rm -rf /var/lib/apt/lists/* \
 && install -d -o 65532 -g 65532 /data
USER 65532:65532
VOLUME /data

FROM runtime AS azure-sim
COPY --from=build /src/build/bin/azure-sim /usr/local/bin/azure-sim
EXPOSE 10443
ENTRYPOINT ["azure-sim"]
CMD ["--listen", "0.0.0.0:10443", "--data-dir", "/data"]

FROM runtime AS controller
COPY --from=build /src/build/bin/sallyport-controller /usr/local/bin/sallyport-controller
EXPOSE 18443 8081
ENTRYPOINT ["sallyport-controller"]
CMD ["--help"]
