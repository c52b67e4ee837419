"""Checks infra/template.yaml, as production deploys it, with two public rule sets: checkov, and the proactive controls of AWS Control
Tower for cfn-guard, which AWS maps to PCI DSS and other standards.

A finding needs a reason in .ci/rules.yaml; a reason without a finding is refused too.

Usage: rules.py CHECKOV GUARD RULES
  CHECKOV  the executable of checkov
  GUARD    the executable of cfn-guard
  RULES    the folder with the rules for cfn-guard
"""

import collections
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys

import yaml
from cfnlint.decode import decode
from cfnlint.template import Template
from cfnlint.template.transforms._language_extensions import language_extension
from samtranslator.translator.transform import transform

ROOT = pathlib.Path(__file__).parent.parent
TEMPLATE = ROOT / "infra/template.yaml"
EXPANDED = ROOT / "target/ci/expanded.json"


class NoManagedPolicies:
    """The template names none."""

    @staticmethod
    def load():
        return {}


def plain(value):
    """The value without cfn-lint's positions."""
    if isinstance(value, dict):
        return {str(name): plain(member) for name, member in value.items()}
    if isinstance(value, list):
        return [plain(member) for member in value]
    return value if isinstance(value, (int, float)) or value is None else str(value)


# Parameters without a default, and those that make it production.
PRODUCTION = {
    "Stage": "production",
    "DeploymentAccount": "111122223333",
    "AlarmTopicArn": "arn:aws:sns:us-east-1:111122223333:pages",
    "TicketTopicArn": "arn:aws:sns:us-east-1:111122223333:tickets",
    "SmsSignature": "SIGN",
    "Trail": "true",
}


def resolved(template):
    """The template with the values of parameters, and without what production does not have."""
    values = {name: PRODUCTION.get(name, parameter.get("Default")) for name, parameter in template["Parameters"].items()}

    def is_true(condition):
        ((name, of),) = condition.items()
        if name == "Condition":
            return is_true(template["Conditions"][of])
        if name == "Fn::Equals":
            left, right = (value(one) for one in of)
            return str(left) == str(right)
        if name == "Fn::Not":
            return not is_true(of[0])
        return {"Fn::And": all, "Fn::Or": any}[name](is_true(one) for one in of)

    def value(of):
        if isinstance(of, list):
            members = (value(one) for one in of)
            return [one for one in members if one != {"Ref": "AWS::NoValue"}]
        if not isinstance(of, dict):
            return of
        if "Fn::If" in of:
            condition, then, otherwise = of["Fn::If"]
            return value(then if is_true({"Condition": condition}) else otherwise)
        if set(of) == {"Ref"} and of["Ref"] in values:
            return values[of["Ref"]]
        if "Fn::Select" in of:
            index, items = value(of["Fn::Select"])
            if isinstance(items, str):
                return items.split(",")[int(index)]
        members = {name: value(member) for name, member in of.items()}
        return {name: member for name, member in members.items() if member != {"Ref": "AWS::NoValue"}}

    def exists(resource):
        return "Condition" not in resource or is_true({"Condition": resource["Condition"]})

    resources = {name: value(one) for name, one in template["Resources"].items() if exists(one)}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}


def expanded():
    """The template without loops, transforms and conditions."""
    template, matches = decode(str(TEMPLATE))
    if not matches:
        matches, template = language_extension(Template(str(TEMPLATE), template, ["us-east-1"]))
    if matches:
        sys.exit(f"{TEMPLATE}: {matches}")
    template = plain(template)
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = "s3://bucket/key"
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    return resolved(transform(template, {}, NoManagedPolicies()))


def findings_of_checkov(checkov):
    command = [checkov, "-f", str(EXPANDED), "--framework", "cloudformation", "--compact", "--quiet", "--soft-fail", "-o", "json"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    summary = report["summary"]
    if summary["parsing_errors"] or not summary["passed"]:
        sys.exit(f"checkov checked nothing: {summary}")
    for failed in report["results"]["failed_checks"]:
        yield failed["check_id"], failed["resource"].rsplit(".", 1)[1]


def findings_of_guard(guard, rules):
    command = [guard, "validate", "-r", rules, "-d", str(EXPANDED), "--structured", "--output-format", "json", "--show-summary", "none"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 19):  # 19: not compliant
        sys.exit(f"cfn-guard: {done.stderr}")
    reports = json.loads(done.stdout)
    for report in reports if isinstance(reports, list) else [reports]:
        if not report["compliant"]:
            sys.exit("cfn-guard checked nothing")
        for failed in report["not_compliant"]:
            for resource in set(re.findall(r"/Resources/(\w+)", json.dumps(failed))):
                yield failed["Rule"]["name"], resource


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    checkov, guard, rules = sys.argv[1:]
    EXPANDED.parent.mkdir(parents=True, exist_ok=True)
    template = expanded()
    EXPANDED.write_text(json.dumps(template, indent=1))
    reasons = yaml.safe_load((ROOT / ".ci/rules.yaml").read_text())
    wrong, used, count = [], collections.Counter(), 0
    for rule, resource in sorted({*findings_of_checkov(checkov), *findings_of_guard(guard, rules)}):
        count += 1
        patterns = reasons.get(rule, {}).get("resources", [])
        matching = [pattern for pattern in patterns if fnmatch.fnmatchcase(resource, pattern)]
        used.update((rule, pattern) for pattern in matching)
        if not matching:
            wrong.append(f"{rule}: {resource}: mend it, or give the reason in .ci/rules.yaml")
    for rule, reason in reasons.items():
        unused = [pattern for pattern in reason["resources"] if not used[rule, pattern]]
        wrong += [f"{rule}: {pattern}: there is no such finding; remove it from .ci/rules.yaml" for pattern in unused]
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(template['Resources'])} resources, {count} findings, each with a reason under {len(reasons)} rules")


main()
