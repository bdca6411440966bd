#!/usr/bin/env bash
# bash deploy/deploy.sh dev|staging|prod [OPTION...]
# Deploys the build in .aws-sam/build to a stage of samconfig.toml, without asking for confirmation. Passes OPTIONs to
# `sam deploy`. In GitHub Actions, the step's output `url` is the API's address.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stage=$1
shift

.venv-ci/bin/sam deploy --config-env "$stage" --no-confirm-changeset --no-progressbar "$@"
url=$(.venv-ci/bin/sam list stack-outputs --config-env "$stage" --output json |
  python3 -c 'import json, sys; print(next(o["OutputValue"] for o in json.load(sys.stdin) if o["OutputKey"] == "ApiUrl"))')
echo "Deployed to $url"
[ -z "${GITHUB_OUTPUT:-}" ] || echo "url=$url" >>"$GITHUB_OUTPUT"
