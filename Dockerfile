# The one image, for every step, MLflow's server and a shell: `make image` builds it, `make image-cuda` with TORCH=cuda.
ARG BASE_IMAGE=python:3.11-slim-bookworm

# What to install. Wheels that lie in wheels/ are used if their hash is the locked one.
FROM scratch AS locks
COPY requirements.txt wheel[s] /
COPY requirements /requirements/


FROM ${BASE_IMAGE} AS dependencies
# Where pip may look besides its default index. It stays in this stage, but in its cache too: no password in it.
ARG PIP_EXTRA_INDEX_URL
ENV PATH=/opt/venv/bin:$PATH \
    PIP_COMPILE=0 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_FIND_LINKS=/locks \
    PIP_NO_DEPS=1 \
    PIP_QUIET=1 \
    PIP_REQUIRE_HASHES=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN --mount=type=bind,from=locks,target=/locks --mount=type=cache,target=/root/.cache/pip \
    python -m venv /opt/venv && pip install -r /locks/requirements/build.txt

# The one build never takes the other's place: CUDA's libraries make the image several times as large.
ARG TORCH=cpu
RUN --mount=type=bind,from=locks,target=/locks --mount=type=cache,target=/root/.cache/pip \
    case "$TORCH" in \
      cpu) pip install -r /locks/requirements/torch-cpu.txt || { echo "error: no CPU build of torch can be had;" \
        "expected the wheel that requirements/torch-cpu.txt names in wheels/, or the address of an index that has it" \
        "in the build argument PIP_EXTRA_INDEX_URL" >&2; exit 2; } ;; \
      cuda) PIP_FIND_LINKS="" pip install -r /locks/requirements/torch.txt -r /locks/requirements/cuda.txt ;; \
      *) echo "error: TORCH=$TORCH; expected cpu or cuda" >&2; exit 2 ;; \
    esac

RUN --mount=type=bind,from=locks,target=/locks --mount=type=cache,target=/root/.cache/pip \
    pip install --no-build-isolation -r /locks/requirements.txt \
    && SAM2_BUILD_CUDA=0 pip install --no-build-isolation -r /locks/requirements/sam2.txt

# Away with what only compilers, type checkers, test runners and pip read; licences lie in *.dist-info and stay.
# Bytecode is kept for what the steps import: a quarter of the rest's size, and most of the seconds.
WORKDIR /opt/venv/lib/python3.11/site-packages
RUN pip uninstall --yes setuptools wheel pip \
    && find . -name '*.dist-info' -prune -o -type d '(' -name tests -o -path ./torch/test -o -path '*/include' ')' \
      -prune -exec rm -rf {} + \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type f '(' -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.pxi' -o -name '*.a' ')' -delete \
    && python -c "import boto3, dvc.cli, kfp.dsl, kubernetes, lightning_fabric, matplotlib.pyplot, mlflow.pyfunc, \
mlflow.server, monai, nibabel, psycopg2, sam2, scipy.ndimage, sklearn, torch" \
    && printf '#!/opt/venv/bin/python\nfrom sss_ops.__main__ import main\n\nmain()\n' >/opt/venv/bin/sss \
    && chmod +x /opt/venv/bin/sss


FROM ${BASE_IMAGE} AS code
WORKDIR /opt/sss
COPY sss_model sss_model/
COPY sss_ops sss_ops/
COPY components components/
COPY configs configs/
COPY train_2d.py train_3d.py params.yaml LICENSE CITATION.cff ./
# A checkout's permissions are its owner's; in the image anyone may read and nobody may write.
RUN chmod -R u=rwX,go=rX . && python -m compileall -q .


FROM ${BASE_IMAGE}
RUN pip uninstall --quiet --quiet --quiet --yes setuptools wheel pip \
    && useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /tmp/home --shell /bin/bash sss \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=code /opt/sss /opt/sss

# The root file system may be read-only: all that anything writes unasked goes to /tmp.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/sss \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp/home \
    LOGNAME=sss \
    TMPDIR=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/matplotlib \
    DVC_GLOBAL_CONFIG_DIR=/tmp/dvc/global \
    DVC_SYSTEM_CONFIG_DIR=/tmp/dvc/system \
    DVC_SITE_CACHE_DIR=/tmp/dvc/cache \
    # There is no git in here.
    GIT_PYTHON_REFRESH=quiet \
    # Nothing reports home.
    DVC_NO_ANALYTICS=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    GX_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1
USER 10001:10001
WORKDIR /opt/sss
CMD ["sss", "--help"]

ARG VERSION
ARG REVISION
ENV SSS_GIT_REVISION=${REVISION}
LABEL org.opencontainers.image.title="sss" \
      org.opencontainers.image.description="Semi-supervised medical image segmentation with SAM-2: every step of the pipeline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
