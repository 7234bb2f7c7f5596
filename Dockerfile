# docker build -t semantica . && docker run -v "$PWD/out:/semantica/book/_build" semantica
FROM python:3.11-slim
# The compiler makes training fast; git tells results which commit made them; rsync is for pods.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ git make rsync \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /semantica
# First what the environment is made of, so that other edits do not install it again.
COPY Makefile constraints.txt pyproject.toml ./
COPY semantica_lib/__init__.py semantica_lib/
RUN make env
# With .git; where that is left out, SEMANTICA_COMMIT may name the commit (see book/run.md).
COPY . .
ENV PATH=/semantica/.venv/bin:$PATH
CMD ["make", "book"]
