"""Words that look like names and are none: medicines, laboratory values, units, exclamations, eponyms, beasts.

A clinical note is full of them, and masking one loses a fact of care. Owns the lists alone; where they
count is the part of `plausible` and `runs`. They are generic names and the commonest brands.
"""

from typing import Final

MEDICINES: Final = frozenset(
    """
    acetaminophen acyclovir adderall advil albuterol alendronate allopurinol alprazolam amiodarone
    amitriptyline amlodipine amoxicillin apixaban aripiprazole aspirin atenolol atorvastatin augmentin
    azithromycin baclofen benadryl bisoprolol budesonide bupropion buspirone candesartan captopril
    carbamazepine carvedilol cefalexin ceftriaxone celecoxib cephalexin cetirizine ciprofloxacin
    citalopram clarithromycin clindamycin clonazepam clonidine clopidogrel clozapine codeine colchicine
    coumadin cyclobenzaprine dabigatran dapagliflozin dexamethasone diazepam diclofenac digoxin diltiazem
    diphenhydramine donepezil doxazosin doxycycline duloxetine edoxaban eliquis empagliflozin enalapril
    enoxaparin epinephrine escitalopram esomeprazole estradiol ezetimibe famotidine fentanyl ferrous
    finasteride fluconazole fluoxetine fluticasone folic furosemide gabapentin glargine gliclazide
    glimepiride glipizide glyburide heparin humira hydralazine hydrochlorothiazide hydrocodone
    hydrocortisone hydroxychloroquine hydroxyzine ibuprofen insulin ipratropium isosorbide jardiance
    ketoconazole labetalol lamotrigine lansoprazole lantus latanoprost letrozole levetiracetam
    levofloxacin levothyroxine lidocaine linagliptin lipitor liraglutide lisinopril lithium loperamide
    loratadine lorazepam losartan lovenox melatonin meloxicam memantine metformin methadone methotrexate
    methylphenidate methylprednisolone metoclopramide metoprolol metronidazole mirtazapine montelukast
    morphine naloxone naproxen nifedipine nitrofurantoin nitroglycerin norvasc nortriptyline olanzapine
    olmesartan omeprazole ondansetron oxycodone ozempic pantoprazole paracetamol paroxetine penicillin
    phenytoin pioglitazone plavix pravastatin prednisolone prednisone pregabalin promethazine propranolol
    prozac quetiapine ramipril ranitidine risperidone ritalin rivaroxaban rosuvastatin salbutamol
    salmeterol semaglutide sertraline sildenafil simvastatin sitagliptin spironolactone sulfasalazine
    sumatriptan symbicort synthroid tacrolimus tadalafil tamoxifen tamsulosin temazepam terbinafine
    tizanidine topiramate tramadol trazodone tylenol valacyclovir valproate valsartan vancomycin
    venlafaxine ventolin verapamil viagra warfarin wegovy xanax xarelto zoloft zolpidem
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
EXCLAMATIONS: Final = frozenset(
    """
    ahh alright aww awesome bye cheers congrats congratulations cool goodbye gosh haha hahaha hello hey
    hooray hurray kudos lol nope oops thanks thx ugh welcome woah woohoo wow yay yeah yep yikes yum yup
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
NO_NAMES: Final = MEDICINES | EXCLAMATIONS
"""Case-folded words that name nobody, wherever they stand."""
COUNTS: Final = frozenset(
    """
    zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand half
    quarter dozen
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
"""Amounts in words: with a capital at the beginning of a sentence, the tagger takes them for names."""

CREATURES: Final = frozenset(
    """
    badger bear bird buck bull crane crow deer dove drake duck eagle falcon finch fish fox goose hare hawk
    heron hound kite lamb lark lion owl peacock pigeon pike raven salmon seal sparrow swan swift tiger trout
    wolf wren
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
"""Beasts that surnames come from: in small letters, beside a name in capitals, they are beasts."""
PARTICLES: Final = frozenset(
    "al bin da das de del della den der di dos du e ibn la le ten ter van von y".split()  # noqa: SIM905
)
"""Small words inside names."""
DOSING: Final = frozenset({"bid", "tid", "qid", "qd", "qhs", "prn", "daily", "nightly", "weekly", "dl"})
"""How often, and of what: they stand beside a dose."""

LAB_VALUES: Final = frozenset(
    """
    ldl hdl a1c hba1c tsh psa inr egfr gfr bmi wbc rbc hgb crp esr spo2 bp bun
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
LAB_WORDS: Final = (
    "cholesterol",
    "triglycerides",
    "glucose",
    "creatinine",
    "potassium",
    "sodium",
    "ferritin",
    "platelets",
    "hemoglobin",
    "haemoglobin",
    "pulse",
    "heart rate",
    "blood pressure",
    "blood sugar",
    "temperature",
    "vitamin d",
    "b12",
)
"""What a number may follow that measures a body."""

UNITS: Final = (
    "mg/dl",
    "mmol/l",
    "mmol/mol",
    "mmol",
    "mg",
    "ml",
    "mcg",
    "µg",
    "μg",
    "ug",
    "(?:[mµμ]?iu|ng|pg|meq|units?)/m?l",
    "ng",
    "kg",
    "g",
    "mmhg",
    "bpm",
    "units?",
    "iu",
    "meq",
    "cm",
    "mm",
    "lbs?",
    "oz",
    "kcal",
    "tablets?",
    "tabs?",
    "pills?",
    "capsules?",
    "drops?",
    "puffs?",
    "%",
)
"""Regular expressions of what may follow an amount."""

EPONYMS: Final = frozenset(
    """
    addison alzheimer asperger barrett bell crohn cushing down graves hashimoto hodgkin huntington kawasaki
    lyme marfan ménière meniere paget parkinson raynaud sjogren sjögren tourette wilson
    """.split()  # noqa: SIM905  # a list of words reads better as text
)
"""Persons after whom a condition is called: the condition, if its name follows."""
CLEAR_EPONYMS: Final = frozenset({"alzheimer", "asperger", "crohn", "hashimoto", "parkinson", "tourette"})
"""Those whose possessive alone says the condition."""
CONDITIONS: Final = (
    "disease",
    "syndrome",
    "lymphoma",
    "palsy",
    "thyroiditis",
    "dementia",
    "chorea",
    "phenomenon",
    "esophagus",
    "oesophagus",
    "sarcoma",
)
